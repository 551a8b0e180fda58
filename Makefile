# The stable commands. Each brings what it needs: uv when there is none, the locked environment, the lab.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/managedvm-lab
OWN_UV := $(CACHE)/uv/bin/uv
UV := $(or $(shell command -v uv 2>/dev/null),$(OWN_UV))
RUN := $(UV) run --no-sync
SYNCED := .venv/.synced
export UV

.DEFAULT_GOAL := help

.PHONY: help
help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: lab
lab: $(SYNCED) ## start the real world on this machine: API server, vCenter; may be repeated
	$(RUN) python -m lab up

.PHONY: lab-down
lab-down: $(SYNCED) ## end it; may be repeated
	$(RUN) python -m lab down

.PHONY: demo
demo: $(SYNCED) ## tell the main job as a story in a fresh lab; KEEP=1 leaves all of it running
	$(RUN) python -m lab.demo

.PHONY: check
check: $(SYNCED) ## format, lint, types, layers and the fast tests: seconds, no network, no lab
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) mypy lab
	$(RUN) mypy bench
	PYTHONPATH=operator $(RUN) lint-imports
	MANAGEDVM_EXAMPLES=0.2 MANAGEDVM_WORLDS=20 $(RUN) pytest -q -n auto -m "not lab"

.PHONY: test
test: $(SYNCED) ## every test; those that need the lab use the one that runs, or start one
	$(RUN) pytest

.PHONY: soak
soak: $(SYNCED) ## hours: 10,000 orders under 200 kills, thousands of simulated worlds; writes bench/SOAK.md
	MANAGEDVM_EXAMPLES=10 MANAGEDVM_WORLDS=5000 $(RUN) pytest tests/simulation tests/planning tests/engine
	MANAGEDVM_ORDERS=10000 MANAGEDVM_KILLS=200 MANAGEDVM_REPORT=bench/SOAK.md $(RUN) pytest tests/faults

.PHONY: fmt
fmt: $(SYNCED) ## format, and fix what can be fixed safely
	$(RUN) ruff format
	$(RUN) ruff check --fix

.PHONY: bench
bench: $(SYNCED) ## measure beside an idiomatic kopf operator, at 1,000 and 10,000 VMs: about an hour and a half
	$(RUN) python -m bench

.PHONY: crds
crds: $(SYNCED) ## write crds/ from the models of operator/managedvm/api
	$(RUN) managedvm crds --write

# An own uv needs no rights, and a distribution that guards its Python (PEP 668) has no objection to a venv.
$(OWN_UV):
	@python3 -m venv $(CACHE)/uv || { echo "uv is needed: install it, or the venv module of this Python"; exit 1; }
	$(CACHE)/uv/bin/pip install --quiet uv

# The installed environment follows the lock, never the other way round.
$(SYNCED): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet
	@touch $@
