"""The simulation with two replicas that both act."""

from tests.simulation.world import World


class TwoLeaders(World):
    """A world in which both replicas believe that they hold the lease, and act side by side, action by action.

    A Lease does not fence. It cannot be spared for three things. Nobody may withdraw a request between another's last look
    at the order and his act; so these are in one go here. What an order slip has settled is in status, so who sees that
    minutes late may take somebody's change by hand for ordered. And who does not see that a guest was asked bills a change
    in effect, which another may be about to undo because the VM does not start with it; so here each VM starts.
    """

    knows_what_is_settled = False

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.vsphere.most_memory_mib, self.vsphere.always_starts = None, True

    def _go_on(self, actions: int) -> None:
        if not self.is_calm and self.dice.random() < 0.5:
            self.replicas.reverse()
        if self.active.go_on(actions, in_one_go=True):
            self._assert_it_is_brought_back()
            self._note_clear_pass()

    def _take_over(self) -> None:
        self.replicas.reverse()
