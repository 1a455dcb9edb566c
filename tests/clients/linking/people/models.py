from uuid import uuid4

from django.contrib.auth.models import AbstractBaseUser, AbstractUser, BaseUserManager
from django.db import models


class Person(AbstractUser):
    """A user whose email address is unique, or NULL."""

    email = models.EmailField(unique=True, null=True)  # noqa: DJ001  several users without an address
    groups = user_permissions = None


class Member(AbstractUser):
    """A user whose primary key is a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    groups = user_permissions = None


class Strict(AbstractUser):
    """A user whose email address is unique and never NULL."""

    email = models.EmailField(unique=True)
    groups = user_permissions = None


class Contact(AbstractBaseUser):
    """A user who signs in with the email address."""

    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    objects = BaseUserManager()
    USERNAME_FIELD = "email"
