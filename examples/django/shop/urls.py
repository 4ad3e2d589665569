from django.urls import path

from . import views

urlpatterns = [
    path("", views.home),
    path("login", views.log_in),
    path("logout", views.log_out),
    path("orders/<int:number>", views.order),
    path("transfer", views.transfer),
    path("files", views.file),
]
