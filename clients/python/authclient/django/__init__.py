"""Authentication for Django REST framework by access tokens of the token service.

`authentication` has the authentication classes and describes the settings; `linking` maps tokens to the project's
own users. Only projects that use `linking` add `authclient.django` to INSTALLED_APPS, for its one table.
"""
