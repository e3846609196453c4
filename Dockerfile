# DR Portal: one image for web, worker and poller (compose.yaml says which is which).
# No Node stage: the front end's bundle is committed under static/app and checked by CI.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /srv/drportal

RUN groupadd --system --gid 950 drportal \
 && useradd --system --uid 950 --gid drportal --home-dir /srv/drportal --shell /usr/sbin/nologin drportal

COPY requirements.txt ./
RUN pip install -r requirements.txt

COPY manage.py LICENSE ./
COPY drportal ./drportal
COPY static ./static
COPY docs/audit-format.md ./docs/
RUN python -m compileall -q drportal
# A key only for this build step: collectstatic signs nothing, but settings refuse to load without one.
RUN DRPORTAL_SECRET_KEY=build-only DRPORTAL_STATIC_ROOT=/srv/drportal/var/static python manage.py collectstatic --noinput --verbosity 0 \
 && chown -R drportal:drportal /srv/drportal/var

USER drportal
EXPOSE 8000
# web by default. Worker and poller: `python manage.py worker`, `python manage.py poller`.
CMD ["uvicorn", "drportal.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "10", "--ws-ping-interval", "15", "--ws-max-size", "65536", "--no-proxy-headers"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:8000/api/v1/session', headers={'Host': 'localhost', 'X-Forwarded-Proto': 'https'}), timeout=4)"]
