"""Who sends a request, by its token. Apart from the views: REST framework imports this before it has any."""

from __future__ import annotations

from typing import Any

import knox.auth
from django.utils import timezone


class TokenAuthentication(knox.auth.TokenAuthentication):
    """Knox reads all tokens of the person with every request to remove those that have ended; here the log-in does that."""

    def _cleanup_token(self, auth_token: Any) -> bool:
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()
