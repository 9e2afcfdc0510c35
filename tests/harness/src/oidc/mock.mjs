// An identity server out of `oauth2-mock-server`: it asks nobody, everyone is `johndoe`. A line on its
// standard input names what is to be wrong in the next answer that can have it wrong. Prints its issuer and
// ends with its standard input.
import { createInterface } from 'node:readline';
import { OAuth2Server } from 'oauth2-mock-server';

let fault = null;

const inTokens = {
  'wrong-audience': (claims) => { claims.aud = 'somebody-else'; },
  'wrong-issuer': (claims) => { claims.iss = 'http://localhost:1'; },
  'wrong-nonce': (claims) => { claims.nonce = 'of-another-login'; },
  expired: (claims) => { claims.iat -= 7200; claims.nbf = claims.iat; claims.exp = claims.iat + 60; },
};

const inTokenAnswers = {
  'token-error': (answer) => {
    answer.statusCode = 400;
    answer.body = { error: 'invalid_grant', error_description: 'broken on purpose' };
  },
  'wrong-signature': ({ body }) => {
    const [header, claims, signature] = body.id_token.split('.');
    const other = signature.startsWith('A') ? 'B' : 'A';
    body.id_token = [header, claims, other + signature.slice(1)].join('.');
  },
};

const inUserinfo = {
  'wrong-subject': ({ body }) => { body.sub = 'somebody-else'; },
};

const server = new OAuth2Server();
await server.issuer.keys.generate('RS256', { kid: 'mock-1' });
server.service.on('beforeTokenSigning', ({ payload }) => inTokens[fault]?.(payload));
server.service.on('beforeResponse', (answer) => {
  inTokenAnswers[fault]?.(answer);
  // All tokens of this answer have been signed by now.
  if (!(fault in inUserinfo)) fault = null;
});
server.service.on('beforeUserinfo', (answer) => {
  if (fault in inUserinfo) {
    inUserinfo[fault](answer);
    fault = null;
  }
});

// It calls itself `localhost` wherever on the loopback it listens.
await server.start(0, '127.0.0.1');
console.log(`issuer ${server.issuer.url}`);

const known = { ...inTokens, ...inTokenAnswers, ...inUserinfo };
for await (const line of createInterface({ input: process.stdin })) {
  if (!(line in known)) throw new Error(`there is no fault ${line}`);
  fault = line;
  console.log(`broken ${line}`);
}
process.exit();
