# docker build -t rtsmap . && docker run --rm -v "$PWD:/data" rtsmap predict /data/scene.tif -o /data/slumps.gpkg
FROM python:3.12-slim

# The image may run read-only and under any user: nothing is written outside of /data and /tmp.
ENV PYTHONDONTWRITEBYTECODE=1 UV_NO_PROGRESS=1 MPLCONFIGDIR=/tmp
WORKDIR /opt/rtsmap

RUN pip install --no-cache-dir uv
COPY pyproject.toml requirements.lock ./
RUN uv venv .venv && uv pip sync --no-cache --require-hashes requirements.lock
COPY . .
RUN uv pip install --no-cache --no-deps --no-build-isolation --editable .

ENV PATH=/opt/rtsmap/.venv/bin:$PATH
WORKDIR /data
ENTRYPOINT ["rtsmap"]
CMD ["--help"]
