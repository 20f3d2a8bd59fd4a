# syntax=docker/dockerfile:1
# Two images from one file: `--target app` serves and holds no torch, `--target worker` trains.
# How it was checked, and how to check it: docs/how-to/deploy-with-docker.md
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY cli cli
COPY migrations migrations
COPY mrq_core mrq_core
COPY store store
COPY worker worker
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${PYTHON_IMAGE} AS environment
ENV PATH=/opt/mrq/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/mrq
COPY constraints.txt /

# --only-binary: nothing is compiled, so no stage needs a compiler.
FROM environment AS app-environment
COPY --from=wheel /wheels /wheels
# With `parquet` and `minari` too it takes datasets in these formats.
ARG SERVER_EXTRAS=postgres,s3
RUN pip install --constraint /constraints.txt --only-binary :all: \
    "$(echo /wheels/*.whl)[${SERVER_EXTRAS}]"

FROM environment AS worker-environment
# torch alone comes from here, its dependencies from PyPI. For a CUDA build see docs/how-to/gpu.md.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN pip install --constraint /constraints.txt --only-binary :all: --no-deps \
    --index-url "${TORCH_INDEX_URL}" torch
COPY --from=wheel /wheels /wheels
# What the workers can train in: docs/reference/environments.md. `chess` and `gym` (for `health`) are
# published as sources only, of pure Python.
ARG WORKER_EXTRAS=train
RUN pip install --constraint /constraints.txt --only-binary :all: --no-binary chess,gym \
    "$(echo /wheels/*.whl)[${WORKER_EXTRAS},postgres,s3]"

FROM ${PYTHON_IMAGE} AS runtime
RUN groupadd --gid 10001 mrq \
    && useradd --uid 10001 --gid mrq --home-dir /data --no-create-home --shell /usr/sbin/nologin mrq \
    && install --directory --owner mrq --group mrq --mode 0700 /data /artifacts
# PYTHONSAFEPATH: what lies in the working folder, which is writable, is never imported.
ENV PATH=/opt/mrq/bin:$PATH \
    PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    MRQ_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
# What Python processes here understand as "hand back what you do, then end".
STOPSIGNAL SIGTERM

FROM runtime AS worker
COPY --from=worker-environment /opt/mrq /opt/mrq
CMD ["python", "-m", "worker.celery_app"]

FROM runtime AS app
COPY --from=app-environment /opt/mrq /opt/mrq
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "app.serve", "--host", "0.0.0.0", "--port", "8000"]
