"""Filters of a table that a person gave a name."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models


class SavedView(models.Model):
    """``search``: the filter as it stands in the page's address; whoever is given that sees the same."""

    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    table = models.CharField(max_length=30)
    name = models.CharField(max_length=60)
    search = models.CharField(max_length=1000)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["person", "table", "name"], name="one_view_of_a_name")]

    def __str__(self) -> str:
        return f"{self.table}: {self.name}"
