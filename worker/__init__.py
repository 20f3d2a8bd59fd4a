"""The Celery worker: supervisor, trainer process, reconciler."""
