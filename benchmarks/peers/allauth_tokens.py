"""allauth's JWT with the roles of the user, as the other peers have."""

from allauth.headless.tokens.strategies.jwt import JWTTokenStrategy


class WithRoles(JWTTokenStrategy):
    def get_claims(self, user):
        return {"roles": list(user.groups.values_list("name", flat=True))}
