"""The calls themselves: URL, signature, and the error of ccxt for each code of the exchange."""

import hashlib

from ccxt.base.errors import ExchangeError, InvalidNonce

LIMIT_MAX = 500


class Calls:
    """Mixed into ccxt's Exchange."""

    def sign(self, path, api="public", method="GET", params=None, headers=None, body=None):
        """The URL, and for private calls the signature: the secret is never sent."""
        params = params or {}
        query = self.omit(params, [*self.extract_params(path), "idempotencyKey"])
        names = {
            name: self.encode_uri_component(str(value))
            for name, value in params.items()
            if isinstance(value, str | int)
        }
        target = "/" + self.implode_params(path, names)
        headers = {} if headers is None else dict(headers)
        if method in ("POST", "PUT"):
            body = self.json(query) if query else None
            headers |= {"Content-Type": "application/json"} if body else {}
        elif query:
            target += "?" + self.urlencode(query)
        if api == "private":
            self.check_required_credentials()
            key = self.safe_string(params, "idempotencyKey")
            if key is not None:
                headers["Idempotency-Key"] = key
            headers |= self.signature(method, target, body or "", key or "")
            command = self.safe_string(self.options, "lastCommand")
            if method == "GET" and command is not None and self.options["readYourWrites"]:
                headers["X-Wait-For-Command"] = command
        return {"url": self.urls["api"]["rest"] + target, "method": method, "body": body, "headers": headers}

    def signature(self, method, target, body="", key=""):
        """The fields of a signed request."""
        time_ms = str(self.milliseconds() - self.options["timeDifference"])
        text = f"{time_ms}\n{method}\n{target}\n{key}\n{body}"
        signed = self.hmac(self.encode(text), self.encode(self.secret), hashlib.sha256)
        return {"X-Api-Key": self.apiKey, "X-Timestamp": time_ms, "X-Signature": signed}

    def handle_errors(self, code, reason, url, method, headers, body, response, request_headers, request_body):
        """Raise ccxt's error for the code of the exchange; remember the command that a later read must include."""
        command = self.safe_string_2(headers, "X-Command-Id", "x-command-id")
        if command is not None:
            self.options["lastCommand"] = command
        error = self.safe_dict(response, "error")
        if error is None:
            return
        feedback = f"{self.id} {body}"
        details = self.safe_dict(error, "details", {})
        if self.safe_string(details, "reason") == "TIMESTAMP_OUTSIDE_WINDOW":
            raise InvalidNonce(feedback)
        self.throw_exactly_matched_exception(self.exceptions["exact"], self.safe_string(error, "code"), feedback)
        raise ExchangeError(feedback)

    def listed(self, since=None, limit=None, params=None):
        """The query of a list: from a time on oldest first, else the newest first."""
        until = self.safe_integer(params or {}, "until")
        query = self.omit(params or {}, ["until"])
        if since is not None:
            query |= {"from": self.iso8601(since), "order": "asc"}
        if until is not None:
            query["to"] = self.iso8601(until)
        query["limit"] = min(limit or 100, LIMIT_MAX)
        return query

    def listed_in(self, symbol, since, limit, params):
        """A market, or None for all of them, and the query of a list of what was in it."""
        market = None if symbol is None else self.market(symbol)
        return market, self.listed(since, limit, params) | ({} if market is None else {"marketId": market["id"]})
