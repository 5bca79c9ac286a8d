# The API: no torch, no ray. Build from the repository's root: docker build -f docker/service.Dockerfile .
FROM python:3.11.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY s2e s2e
COPY workers workers
COPY service service
COPY migrations migrations
COPY docker/install.sh docker/install.sh
RUN sh docker/install.sh service && useradd --uid 10001 --no-create-home s2e && install -d -o s2e /data

USER 10001
ENV S2E_HOME=/data S2E_HOST=0.0.0.0
EXPOSE 8642
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8642/healthz', timeout=2)"]
CMD ["s2e", "api"]
