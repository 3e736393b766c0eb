# Hawker. `make run` and `make test` need Python 3.11 or newer, make and git; they set up the rest in .venv.
# PORT, HOST, HAWKER_DATA, DATABASE_URL, REDIS_URL, DEMO=0, TLS_CERT and TLS_KEY may be given: make run PORT=9000
.POSIX:
PYTHON = .venv/bin/python
LAN = $${HAWKER_DATA:-var}/lan

run:
	@bin/setup run
	@$(PYTHON) -m app serve

# Reachable from a phone in the same network, with a certificate of its own making.
run-lan:
	@bin/setup run
	@$(PYTHON) deploy/self_signed.py "$(LAN)"
	@HOST=0.0.0.0 TLS_CERT="$(LAN)/cert.pem" TLS_KEY="$(LAN)/key.pem" $(PYTHON) -m app serve

# Files of tests are spread over a process more than there are cores, since they wait as much as they work; each has
# servers of its own (tests/spread.py). ARGS="-n 0" runs them in one.
test:
	@bin/setup test
	@$(ALIKE) CHROMIUM="$$(bin/chromium)" $(PYTHON) -m pytest $(SPREAD) $(ARGS)
SPREAD = -n $$(cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 3 ? cores + 1 : 4))) --dist loadfile --no-loadscope-reorder
# Sets are in the same order in all of them, and in each run.
ALIKE = PYTHONHASHSEED=1

# Everything, with the tests that take minutes each: some fifteen minutes on two cores. Sets are in another order in each
# run, and other examples are drawn.
test-long:
	@bin/setup test
	@$(ANEW) CHROMIUM="$$(bin/chromium)" $(PYTHON) -m pytest -m "long or not long" --hypothesis-profile=anew $(SPREAD) $(ARGS)
ANEW = PYTHONHASHSEED=$$(od -An -N2 -tu2 /dev/urandom | tr -d " ")

# The journeys on a network whose replies are late and overtake each other, once a seed: some seven minutes each.
test-late:
	@bin/setup test
	@for seed in $(SEEDS); do echo "LATE_REPLIES=$$seed"; \
	LATE_REPLIES=$$seed CHROMIUM="$$(bin/chromium)" $(PYTHON) -m pytest tests/journeys $(ARGS) || exit 1; done
SEEDS = 1 2

lint:
	@bin/setup test
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy app
	@$(PYTHON) -m pytest tests/architecture

bench-main:
	@bin/setup test
	@CHROMIUM="$$(bin/chromium)" $(PYTHON) -m bench.main

# At most 15 minutes. ROUNDS=1 for a first look; needs cc, and npm for one of the peers.
bench-rooms:
	@bin/setup test
	@ROUNDS="$(ROUNDS)" $(PYTHON) -m bench.rooms

# At most 15 minutes. ROUNDS=1 for a first look; needs redis-benchmark (Debian: redis-tools).
bench-flash-sales:
	@bin/setup test
	@ROUNDS="$(ROUNDS)" $(PYTHON) -m bench.flash_sales

# At most 15 minutes. ROUNDS=1 SCALE=0.2 for a first look; needs pgbench, which the bundled Postgres has.
bench-checkout:
	@bin/setup test
	@ROUNDS="$(ROUNDS)" SCALE="$(SCALE)" $(PYTHON) -m bench.checkout
ROUNDS = 5

# At most 15 minutes. Needs cc and root (or unprivileged network namespaces); Debian's package janus for the peer.
bench-relay:
	@bin/setup test
	@CHROMIUM="$$(bin/chromium)" ROUNDS="$(ROUNDS)" $(PYTHON) -m bench.relay

# Some three minutes; needs cc and Chromium.
bench-chat:
	@bin/setup test
	@CHROMIUM="$$(bin/chromium)" $(PYTHON) -m bench.chat

# After a change of pyproject.toml. Needs uv.
lock:
	uv pip compile pyproject.toml $(LOCK) -o requirements.lock
	uv pip compile pyproject.toml --extra test -c requirements.lock $(LOCK) -o requirements-test.lock
LOCK = -q --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

.PHONY: run run-lan test test-long test-late lint bench-main bench-chat bench-rooms bench-flash-sales bench-checkout lock
