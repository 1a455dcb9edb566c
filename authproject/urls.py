"""URL configuration of the project: the API, its pages, and the admin."""

from django.contrib import admin
from django.urls import path

from api.urls import urlpatterns as api_urlpatterns

urlpatterns = [
    # Listed directly, because include() would add a resolver to each request.
    *api_urlpatterns,
    path("admin/", admin.site.urls),
]

handler400 = "api.errors.bad_request"
handler404 = "api.errors.page_not_found"
handler500 = "api.errors.server_error"
