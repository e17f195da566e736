PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARTIFACT := artifacts/demo
RECORDINGS := export/demo/recordings/manifest.tsv
INSTALLED := $(VENV)/.installed

.PHONY: demo test check bench clean docs fuzz types lowest versions

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools
	@# torch first and by version: a range would take the newest release, with gigabytes of CUDA.
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[all,dev,docs]"
	touch $(INSTALLED)

$(ARTIFACT)/manifest.json: $(INSTALLED) export/demo/model.pt
	$(BIN)/emf-export --model demo --out $(ARTIFACT) --force

demo: $(ARTIFACT)/manifest.json
	@for backend in onnxruntime openvino; do \
		echo "== $$backend"; \
		$(BIN)/emf-transcribe $(ARTIFACT) $(RECORDINGS) --backend $$backend --reference $(RECORDINGS) || exit 1; \
	done
	@echo "== while it is spoken: stable text | what may still change; then words with times"
	@$(BIN)/emf-transcribe $(ARTIFACT) export/demo/recordings/date.flac --partial --stable-delay 1 --format srt 2>&1

# mypy finds the namespace package `emf` through a link to this folder.
types: $(INSTALLED)
	mkdir -p build/types && ln -sfn ../.. build/types/emf

check: types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=build/types $(BIN)/mypy -p emf.runtime -p emf.export -p emf.quantize -p emf.serve
	MYPYPATH=build/types:tools $(BIN)/mypy tests tools
	MYPYPATH=build/types $(BIN)/mypy examples

# Two processes share the files of tests. Two runs: tracing an export takes many times as long as the export, so
# coverage is measured without exports.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --durations 15

test: $(INSTALLED)
	$(PYTEST) tests/runtime tests/quantize --cov
	$(PYTEST) --ignore=tests/runtime --ignore=tests/quantize

# mkdocstrings finds the namespace package through links, without what else lies in this folder.
docs: $(INSTALLED)
	mkdir -p build/docs/emf
	for room in runtime export quantize serve; do ln -sfn ../../../$$room build/docs/emf/$$room; done
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(ARTIFACT)/manifest.json
	$(BIN)/emf-bench $(ARTIFACT) --audio $(RECORDINGS)

# SECONDS of nonsense for all that reads the bytes of strangers, then many requests to the REST endpoints.
SECONDS ?= 300
fuzz: $(INSTALLED)
	$(BIN)/python tools/fuzz_messages.py --seconds $(SECONDS) --rest 300

# The wheel and the whole suite with other Pythons, in environments of their own. In this folder no package `emf` can be
# imported, so that the tests take the wheel's.
PYTHONS ?= python3.12 python3.13
TESTS ?= tests
VERSIONS := build/versions
versions: $(INSTALLED)
	rm -rf build/lib $(VERSIONS)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(VERSIONS)/wheel .
	@for python in $(PYTHONS); do \
		bin=$(VERSIONS)/$$(basename $$python)/bin; \
		echo "== $$($$python --version)"; \
		$$python -m venv $${bin%/bin} && $$bin/pip install --quiet "torch==2.13.0" && \
		$$bin/pip install --quiet "$$(ls $(VERSIONS)/wheel/*.whl)[all,dev]" && \
		$$bin/python -m pytest --numprocesses 2 --dist loadfile $(TESTS) || exit 1; \
	done

# The lowest versions that pyproject.toml states, in environments of their own: the wheel with ONNX Runtime alone
# transcribes the demo, then the tests of the server, of export and of quantization run. PyTorch alone is not the lowest,
# but the one of .venv.
LOWEST := build/lowest
TOOLS := deepgram-sdk fakeredis hypothesis jiwer "openai[realtime]" packaging pytest schemathesis soxr wyoming
lowest: $(ARTIFACT)/manifest.json
	rm -rf $(LOWEST)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(LOWEST)/wheel .
	$(BIN)/python tools/lowest_versions.py onnxruntime > $(LOWEST)/onnxruntime.txt
	$(BIN)/python tools/lowest_versions.py onnxruntime openvino serve redis media > $(LOWEST)/serve.txt
	$(PYTHON) -m venv $(LOWEST)/onnxruntime
	$(LOWEST)/onnxruntime/bin/pip install --quiet -c $(LOWEST)/onnxruntime.txt "$$(ls $(LOWEST)/wheel/*.whl)[onnxruntime]"
	$(LOWEST)/onnxruntime/bin/emf-transcribe $(ARTIFACT) $(RECORDINGS) --reference $(RECORDINGS)
	$(PYTHON) -m venv $(LOWEST)/serve
	$(LOWEST)/serve/bin/pip install --quiet -c $(LOWEST)/serve.txt \
		"$$(ls $(LOWEST)/wheel/*.whl)[onnxruntime,openvino,serve,redis,media]" $(TOOLS)
	EMF_DEMO_ARTIFACT=$(abspath $(ARTIFACT)) $(LOWEST)/serve/bin/python -m pytest -m "not slow" tests/serve
	$(BIN)/python tools/lowest_versions.py export quantize | grep -v "^torch==" > $(LOWEST)/export.txt
	$(PYTHON) -m venv $(LOWEST)/export
	$(LOWEST)/export/bin/pip install --quiet "torch==2.13.0"
	$(LOWEST)/export/bin/pip install --quiet -c $(LOWEST)/export.txt \
		"$$(ls $(LOWEST)/wheel/*.whl)[export,quantize]" hypothesis pytest
	$(LOWEST)/export/bin/python -m pytest -m "not slow" tests/export tests/quantize

clean:
	rm -rf build dist artifacts *.egg-info .mypy_cache .ruff_cache .pytest_cache
