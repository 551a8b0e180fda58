# The operator's image: nothing but Python, our wheel and its locked dependencies; non-root, at home on a read-only disk.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# What is fetched is trusted by the system's bundle: who builds behind an own authority mounts theirs in its place.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt UV_SYSTEM_CERTS=1 \
    UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/managedvm
# Environments of their own, since a distribution guards its Python (PEP 668); this one stays without pip.
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir "uv>=0.13,<0.14" \
 && python3 -m venv --without-pip /opt/managedvm
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-install-project
COPY LICENSE README.md ./
COPY operator ./operator
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-editable

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="managedvm-operator" \
      org.opencontainers.image.description="A managed hosting contract as a Kubernetes operator" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/managedvm/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/managedvm /opt/managedvm
USER 10001:10001
EXPOSE 8080 8081
ENTRYPOINT ["managedvm"]
CMD ["run"]
