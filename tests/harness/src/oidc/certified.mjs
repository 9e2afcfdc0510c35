// An identity server out of `oidc-provider`, which is certified: it asks for a login and for consent, insists
// on PKCE and hands out opaque access tokens. Prints its issuer and ends with its standard input.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const { CLIENTS, KEY, PORT = '0' } = process.env;

// Any password opens them. Whoever else logs in has an address of their own.
const accounts = {
  alice: { name: 'Alice Example', email: 'alice@example.test', email_verified: true },
  // Claims an address that is not hers.
  mallory: { name: 'Mallory Example', email: 'alice@example.test', email_verified: false },
};

function findAccount(_context, login) {
  const known = accounts[login] ?? { name: login, email: `${login}@example.test`, email_verified: true };
  return { accountId: login, claims: () => ({ sub: login, preferred_username: login, ...known }) };
}

const configuration = {
  clients: JSON.parse(CLIENTS),
  findAccount,
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username'],
  },
  // Without keys of its own it would sign with one that everybody knows.
  jwks: { keys: [JSON.parse(KEY)] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  // Left alone, it asks only public clients for it.
  pkce: { required: () => true },
  rotateRefreshToken: true,
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
  },
  ttl: {
    AccessToken: 300,
    AuthorizationCode: 60,
    Grant: 600,
    IdToken: 300,
    Interaction: 300,
    RefreshToken: 600,
    Session: 600,
  },
};

let answer;
const server = createServer((request, response) => answer(request, response));
server.listen(Number(PORT), '127.0.0.1', () => {
  // Cookies ignore ports: by this name they are kept apart from those of a server at 127.0.0.1.
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  provider.use(async (context, next) => {
    await next();
    // Its pages import a font from a host that a browser without the internet would wait for.
    context.set('content-security-policy', "style-src 'unsafe-inline'; font-src 'none'");
  });
  // The answers hide what was wrong.
  for (const event of ['authorization.error', 'grant.error', 'userinfo.error', 'server_error']) {
    provider.on(event, (_context, error) => {
      const reason = error.error_detail ?? error.stack;
      console.error(`${event}: ${error.error}: ${error.error_description}: ${reason}`);
    });
  }
  answer = provider.callback();
  console.log(`issuer ${issuer}`);
});

process.stdin.resume().on('end', () => process.exit());
