"""A webhook in FastAPI that the provider's own library proves, and that keeps nothing."""

import os

from fastapi import FastAPI, Request, Response
from twilio.request_validator import RequestValidator

app = FastAPI()
validator, url = RequestValidator(os.environ["TOKEN"]), os.environ["URL"]


@app.post("/webhooks/sms")
async def take(request: Request):
    form = dict(await request.form())
    if not validator.validate(url, form, request.headers.get("X-Twilio-Signature", "")):
        return Response(status_code=401)
    return Response("<Response/>", media_type="text/xml")
