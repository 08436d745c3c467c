# Everything a person does with this project. `make` alone lists it.
#
#   make test                          the scenarios on real machines, Vagrant lab
#   make test LAB=qemu IMAGE=path      the same on QEMU processes and an image of yours
#   make test ARGS="-k failover -x"    further arguments for pytest: words, quoted as for sh(1)
#
# What is given here is never part of a command: a recipe's shell finds it in its environment, as it
# was typed, and a blank, a quote or a semicolon in it is only a character.

LAB    ?= vagrant
IMAGE  ?=
HASTD  ?=
HASTCTL ?=
PAIR   ?= default
ARGS   ?=
PYTHON ?= python3
override LAB    := $(value LAB)
override IMAGE  := $(value IMAGE)
override HASTD  := $(value HASTD)
override HASTCTL := $(value HASTCTL)
override PAIR   := $(value PAIR)
override ARGS   := $(value ARGS)
override PYTHON := $(value PYTHON)
export LAB IMAGE HASTD HASTCTL PAIR ARGS PYTHON

VENV   := .venv
SKUNK  := $(VENV)/bin/python -m harness.cli.from_make# adds the words of ARGS
ON     := --lab "$$LAB" $(if $(IMAGE),--image "$$IMAGE")
OWN    := $(if $(HASTD),--hastd "$$HASTD") $(if $(HASTCTL),--hastctl "$$HASTCTL")

.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.done  ## make the virtual environment with everything in it
$(VENV)/.done: requirements.lock pyproject.toml
	@command -v "$$PYTHON" >/dev/null || { echo "there is no $$PYTHON here; install Python 3.11 or newer, or name it: make setup PYTHON=python3.12" >&2; exit 1; }
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make setup PYTHON=python3.12")'
	@"$$PYTHON" -c 'import importlib.util as u, sys; sys.exit(not (u.find_spec("venv") and u.find_spec("ensurepip")) and "this Python makes no virtual environments; on Debian and Ubuntu: apt-get install python3-venv")'
	"$$PYTHON" -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: setup  ## the whole story on two simulated nodes, in seconds: a model, no evidence
	@$(SKUNK) demo

check: setup  ## lint, types and the tests that need no virtual machine
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-cache --no-logo
	@$(MAKE) --no-print-directory -j2 types unit

types: setup  # by itself, or beside the tests
	$(VENV)/bin/mypy

unit: setup  # a file of tests is run by one process: its tests may share what they have started
	$(VENV)/bin/pytest -n auto --dist loadfile --no-loadscope-reorder tests/unit

plumbing: setup  ## the labs themselves, on a small Linux guest: needs QEMU, no FreeBSD
	$(VENV)/bin/pytest tests/plumbing

browser: setup  ## the report in headless Chromium: needs chromium and its driver
	$(VENV)/bin/pytest tests/browser

test: setup  ## the scenarios on two real FreeBSD machines (LAB=, IMAGE=, HASTD=, PAIR=, ARGS=)
	$(SKUNK) test $(ON) $(OWN) --pair "$$PAIR"

conformance: setup  ## hold the simulated lab to what real FreeBSD was recorded to answer
	$(SKUNK) conformance

record: setup  ## record a tour through real FreeBSD for `make conformance` (LAB=, IMAGE=)
	$(SKUNK) record $(ON)

soak: setup  ## set-up and failover on the simulated lab with 2000 seeds
	$(SKUNK) soak

mutations: setup  ## break the simulated world in every known way: does each scenario notice?
	$(SKUNK) mutations

fuzz: setup  ## 100,000 random command lines for a simulated node's SSH server
	$(SKUNK) fuzz

doctor: setup  ## what each lab lacks on this host, and what mends it
	@$(SKUNK) doctor

up: setup  ## boot a pair, set it up and leave it up (LAB=, IMAGE=, PAIR=); then: skunk status, ssh, cut
	@$(SKUNK) up $(ON) $(OWN) --pair "$$PAIR"

status: setup  ## both nodes of a pair that is up (ARGS=--watch)
	@$(SKUNK) status

down: setup  ## stop it and remove all of it
	@$(SKUNK) down

bench: setup  ## measure resyncs, failovers and writes as bench.yaml has it (LAB=, IMAGE=)
	$(SKUNK) bench run $(ON) $(OWN)

bench-harness: setup  ## what the harness itself costs: start, restore, one command, memory
	$(SKUNK) bench harness $(ON)

image: setup  ## download the official FreeBSD image that lab.yaml names (other: ARGS="--release 15")
	$(SKUNK) image

box: setup  ## turn IMAGE=path into a Vagrant box for libvirt and add it
	$(SKUNK) box $(if $(IMAGE),--image "$$IMAGE")

docs: setup  ## the documentation as a site in build/site, every link checked
	$(VENV)/bin/sphinx-build -q -W --keep-going -b html -d build/doctrees docs build/site

pictures: setup  ## make the pictures of README.md anew: needs chromium and its driver
	$(VENV)/bin/python -m tests.pictures

reference: setup  ## write the tables of the documents anew from the code
	$(VENV)/bin/python -m tests.reference

lock: setup  ## pin every dependency anew
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	    --no-header --extra dev --extra docs --output-file requirements.lock pyproject.toml

clean:  ## remove what was made here, but not results/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info

.PHONY: help setup doctor up status down demo check types unit plumbing browser test conformance record soak mutations fuzz bench bench-harness image box docs pictures reference lock clean
