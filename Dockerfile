# One image; the command says which part of Headrace it runs: headrace trigger, orchestrator, invoker, api or init, each
# on Kafka and MongoDB with settings from the environment, or headrace dev, which is everything in one process and the
# default. Built from the lock, nothing else.
FROM python:3.13-slim-bookworm AS build

# The same uv as the Makefile's (a test compares them).
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/headrace \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /src

# First the dependencies: this layer changes only with the lock.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project --no-cache

# Then Headrace itself.
COPY README.md LICENSE ./
COPY shared ./shared
COPY services ./services
RUN uv sync --frozen --no-dev --no-editable --no-cache


FROM python:3.13-slim-bookworm

COPY --from=build /opt/headrace /opt/headrace
RUN install -d -o 10001 -g 10001 -m 0750 /data

# HOME: the command line keeps the credentials of its server below it.
ENV PATH=/opt/headrace/bin:$PATH \
    HOME=/data \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
CMD ["headrace", "dev", "--data", "/data", "--host", "0.0.0.0"]
