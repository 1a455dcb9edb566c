from django.contrib import admin
from django.urls import path

from api.urls import urlpatterns as api_urlpatterns

urlpatterns = [
    # Not by include(), which each request would be resolved through.
    *api_urlpatterns,
    path("admin/", admin.site.urls),
]

handler400 = "api.errors.bad_request"
handler404 = "api.errors.page_not_found"
handler500 = "api.errors.server_error"
