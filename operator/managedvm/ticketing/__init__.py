"""The passes of the helpdesk. As in `reconcile`, each reads, decides by `planning` and acts.

One reads tickets (`intake`), one writes into them (`correspondent`), and at most one of each sort runs at a time: a helpdesk
that is slow holds two workers and no more.
"""
