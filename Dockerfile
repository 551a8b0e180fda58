# The operator's image: non-root, read-only, nothing but Python, our wheel and its locked dependencies.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
RUN pip install "uv>=0.13,<0.14"
WORKDIR /src
COPY pyproject.toml uv.lock README.md ./
COPY operator ./operator
RUN uv venv /opt/managedvm \
 && uv export --frozen --no-dev --no-emit-project --format requirements-txt > /tmp/requirements.txt \
 && uv pip install --python /opt/managedvm/bin/python --require-hashes -r /tmp/requirements.txt \
 && uv pip install --python /opt/managedvm/bin/python --no-deps .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="managedvm-operator" \
      org.opencontainers.image.description="A managed hosting contract as a Kubernetes operator" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/managedvm/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/managedvm /opt/managedvm
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["managedvm"]
CMD ["run"]
