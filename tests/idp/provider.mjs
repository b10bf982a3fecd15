// An OpenID provider on a loopback port, over HTTPS: oidc-provider, which the OpenID Foundation has certified.
//
// Arguments: its certificate and key, PEM files. Each line on standard input is a JSON list of generations of signing
// keys, newest first: from then on all of them are published, and tokens are signed by the first. The provider is made
// anew for it, as by a restart; only the port stays. Each line is answered by one with the issuer's URL. It ends with its
// standard input.
import { generateKeyPairSync, webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';

// What the provider expects and Node 18 has under another name, or not at all.
globalThis.crypto ??= webcrypto;
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);
// Standard output is for answers; the provider writes notices there, too.
console.info = console.error;
const { default: Provider } = await import('oidc-provider');

const KINDS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

const generations = new Map();

function keysOf(generation) {
  if (!generations.has(generation)) {
    const keys = Object.entries(KINDS).map(([alg, [kind, options]]) => {
      const { privateKey } = generateKeyPairSync(kind, options);
      return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${generation}-${alg}` };
    });
    generations.set(generation, keys);
  }
  return generations.get(generation);
}

// https://keyward.example/ES256: tokens for the audience `keyward`, signed with ES256.
function resourceServer(_context, resource) {
  const [audience] = new URL(resource).hostname.split('.');
  const alg = new URL(resource).pathname.slice(1);
  return { audience, scope: '', accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg } } };
}

function provider(issuer, keys) {
  return new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: 'billing',
        client_secret: 'known-to-the-test',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
    },
    extraTokenClaims: () => ({ groups: ['payments'] }),
  });
}

const [certificate, key] = process.argv.slice(2);
let answer;
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) =>
  answer(request, response),
);
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://localhost:${server.address().port}`;
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    answer = provider(issuer, JSON.parse(line).flatMap(keysOf)).callback();
    console.log(issuer);
  });
  lines.on('close', () => process.exit(0));
});
