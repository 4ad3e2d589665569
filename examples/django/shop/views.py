from django.contrib.auth import authenticate, login, logout
from django.core.exceptions import PermissionDenied, SuspiciousFileOperation, SuspiciousOperation
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.views.decorators.http import require_GET, require_POST

from .security import record_security_event


@require_GET
def home(request):
    return HttpResponse(get_token(request))


@require_POST
def log_in(request):
    user = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
    if user is None:
        return HttpResponse("wrong", status=401)
    login(request, user)
    return HttpResponse("welcome")


@require_POST
def log_out(request):
    logout(request)
    return HttpResponse("bye")


@require_GET
def order(request, number):
    if number != 1:
        raise PermissionDenied
    record_security_event("sensitive_read", request, object=f"order {number}")
    return HttpResponse(f"order {number}")


@require_POST
def transfer(request):
    if not request.POST.get("amount", "").isdigit():
        raise SuspiciousOperation("the amount is not a number")
    return HttpResponse("done")


@require_GET
def file(request):
    if ".." in request.GET.get("name", ""):
        raise SuspiciousFileOperation("a name with ..")
    return HttpResponse("file")
