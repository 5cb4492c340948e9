"""Every answer that is not a success has the body that commands print under --json."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from csched.errors import CschedError, InputError, NothingPlaced, Refused, Unavailable, UsageError, Where


class Place(BaseModel):
    file: str | None = None
    line: int | None = None
    field: str | None = None


class ErrorBody(BaseModel):
    code: str
    message: str
    hint: str | None
    where: Place | None


class ErrorDocument(BaseModel):
    error: ErrorBody


class Failure(Exception):
    """An answer with this status."""

    def __init__(self, status: int, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint


_STATUS: Final[Mapping[type[CschedError], int]] = {
    UsageError: 400,
    InputError: 400,
    NothingPlaced: 409,
    Refused: 409,
    Unavailable: 503,
}
_CODES: Final[Mapping[int, str]] = {
    400: "BadRequest",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "TooLarge",
    415: "UnsupportedMediaType",
}

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorDocument, "description": description}
    for status, description in (
        (400, "something in the request is wrong: what and where"),
        (401, "no valid token"),
        (413, "the request is too large"),
        (422, "the request does not have the described form"),
        (503, "something outside is unavailable"),
    )
}
ONE_JOB: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ErrorDocument, "description": "there is no such job for you"},
    409: {"model": ErrorDocument, "description": "the job's state does not allow it"},
}


def error_response(
    status: int, code: str, message: str, *, hint: str | None = None, where: Where | None = None
) -> JSONResponse:
    place = where.as_dict() if where else None
    body = {"error": {"code": code, "message": message, "hint": hint, "where": place}}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(body, status, headers=headers)


def add_handlers(api: FastAPI) -> None:
    """Give every kind of failure its answer; what is unexpected says no more than that."""

    @api.exception_handler(Failure)
    def failed(_request: Request, failure: Failure) -> JSONResponse:
        return error_response(failure.status, failure.code, failure.message, hint=failure.hint)

    @api.exception_handler(CschedError)
    def refused(_request: Request, error: CschedError) -> JSONResponse:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
        return error_response(status, error.code, error.message, hint=error.hint, where=error.where)

    @api.exception_handler(RequestValidationError)
    def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        message = first["msg"][:1].lower() + first["msg"][1:]
        return error_response(422, "BadInput", message, hint="see /openapi.json", where=Where(field=field))

    @api.exception_handler(HTTPException)
    def http(_request: Request, error: HTTPException) -> JSONResponse:
        message = str(error.detail)
        response = error_response(
            error.status_code, _CODES.get(error.status_code, "Http"), message[:1].lower() + message[1:]
        )
        response.headers.update(error.headers or {})
        return response

    @api.exception_handler(Exception)
    def unexpected(_request: Request, _error: Exception) -> JSONResponse:
        return error_response(500, "Error", "unexpected error", hint="the daemon's log has the details")
