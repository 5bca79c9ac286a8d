# The dispatcher and the trainers: torch and ray. Build from the repository's root:
#   docker build -f docker/worker.Dockerfile --build-arg TORCH=torch==2.13.0 .
FROM python:3.11.13-slim-bookworm

ARG TORCH=torch==2.13.0
ARG TORCHVISION=torchvision==0.28.0
ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 RAY_USAGE_STATS_ENABLED=0
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY s2e s2e
COPY workers workers
COPY service service
COPY migrations migrations
COPY docker/install.sh docker/install.sh
RUN sh docker/install.sh worker && useradd --uid 10001 --create-home s2e && install -d -o s2e /data

USER 10001
ENV S2E_HOME=/data
CMD ["s2e", "dispatcher"]
