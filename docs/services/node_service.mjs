// An orders service in Node that verifies access tokens with jose.
import { createServer } from "node:http";
import { createRemoteJWKSet, jwtVerify } from "jose";

const issuer = process.env.ISSUER;
const audience = process.env.AUDIENCE ?? "orders";

const metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
if (metadata.issuer !== issuer) throw new Error("The metadata belongs to another issuer.");
// Refuse a dropped key after 30 seconds; by default, jose caches keys for ten minutes.
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri), { cacheMaxAge: 30_000 });

async function authenticate(request) {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  if (scheme !== "Bearer") return null;
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      typ: "at+jwt",
      algorithms: ["ES256", "EdDSA", "RS256"],
      requiredClaims: ["exp", "iat", "sub", "jti", "client_id"],
    });
    return payload;
  } catch {
    return null;
  }
}

createServer(async (request, response) => {
  const claims = await authenticate(request);
  response.writeHead(claims ? 200 : 401, { "Content-Type": "application/json" });
  response.end(JSON.stringify(claims ? { orders: [], of: claims.sub } : { message: "Unauthorized" }));
}).listen(Number(process.env.PORT), "127.0.0.1");
