# The app in a container: `docker build -t recengine . && docker run -p 8501:8501 -v recengine:/data recengine`
# PyTorch without CUDA is a quarter of the size: pass the index of its CPU wheels, which PyTorch's install page names,
# as --build-arg TORCH_INDEX=...; without it the default wheel is installed.
FROM python:3.11-slim

ARG TORCH_INDEX=""
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --create-home --uid 10001 recengine && mkdir /data && chown recengine /data
WORKDIR /app
COPY requirements-hosted.txt .
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    "torch==2.13.0${TORCH_INDEX:++cpu}" -r requirements-hosted.txt
COPY . .

# What a stranger may do is less than what the owner of a machine may: see docs/hosting.md.
ENV RECENGINE_HOME=/data \
    RECENGINE_DATASET=sample \
    RECENGINE_HOSTED=1 \
    STREAMLIT_SERVER_MAX_UPLOAD_SIZE=10 \
    STREAMLIT_SERVER_HEADLESS=true \
    STREAMLIT_LOGGER_MESSAGE_FORMAT="%(message)s" \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0
USER recengine
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import urllib.request as u; u.urlopen('http://localhost:8501/_stcore/health', timeout=4)"
CMD ["streamlit", "run", "app.py"]
