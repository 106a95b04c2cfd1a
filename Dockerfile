# One image for every part of the exchange; docker-compose.yml says which part a container plays.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DATA=/var/lib/perpetua

WORKDIR /srv/perpetua

COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY schemas ./schemas
COPY exchange ./exchange
COPY tables ./tables
COPY store ./store
COPY agents ./agents
COPY api ./api
COPY web ./web
COPY app ./app

RUN useradd --system --no-create-home --shell /usr/sbin/nologin perpetua \
    && install --directory --owner=perpetua --mode=0700 /var/lib/perpetua
USER perpetua

EXPOSE 8080
ENTRYPOINT ["python", "-m", "app"]
CMD ["--help"]
