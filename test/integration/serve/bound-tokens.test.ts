import { decodeJwt } from 'jose'
import * as oauth from 'oauth4webapi'
import { expect, it, onTestFinished } from 'vitest'
import { startIdentity } from '../../../src/demo/identity/index.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

const insecure = { [oauth.allowInsecureRequests]: true }
const client: oauth.Client = { client_id: 'ci' }

/** Signs a machine in at the emulator, with a DPoP proof of a key when one is given. */
async function tokenOf({ identity }: Stack, keys?: oauth.CryptoKeyPair) {
  const found = (await (await fetch(identity.configUrl)).json()) as oauth.AuthorizationServer
  const authentication = oauth.ClientSecretPost('secret')
  const response = await oauth.clientCredentialsGrantRequest(found, client, authentication, [], {
    ...insecure,
    ...(keys !== undefined && { DPoP: oauth.DPoP(client, keys) }),
  })
  return (await oauth.processClientCredentialsResponse(found, client, response)).access_token
}

it('a token that Descope bound to the key of a DPoP proof is not taken as Bearer, nor with its proof', async () => {
  const target = await startRecordingTarget()
  const identity = await startIdentity({
    clients: [{ clientId: 'ci', clientSecret: 'secret' }],
    clock,
  })
  const stack = await startStack({
    targets: { target: target.url },
    identity,
    config: { descope: { audience: [identity.projectId] } },
  })
  onTestFinished(async () => {
    await stack.close()
    await identity.close()
    await target.close()
  })
  const call = {
    ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
    params: { name: 'target_echo', arguments: {} },
  }
  const keys = await oauth.generateKeyPair('ES256')
  const bound = await tokenOf(stack, keys)
  expect(decodeJwt(bound)['cnf']).toEqual({ jkt: expect.any(String) })

  const asBearer = await stack.post(call, { authorization: `Bearer ${bound}` })
  expect(asBearer.status).toBe(401)
  const challenge = asBearer.headers.get('www-authenticate')
  expect(challenge).toContain('error="invalid_token"')
  expect(challenge).toContain('bound to a key (cnf) and may not be sent as Bearer here')
  expect(stack.logs()).toContainEqual(
    expect.objectContaining({ event: 'token_refused', reason: 'bound_to_key' }),
  )

  const withProof = await oauth
    .protectedResourceRequest(
      ...([bound, 'POST', new URL(stack.url)] as const),
      ...([new Headers({ 'content-type': 'application/json' }), JSON.stringify(call)] as const),
      { ...insecure, DPoP: oauth.DPoP(client, keys) },
    )
    .catch((error: unknown) => error)
  expect(withProof).toMatchObject({ status: 401 })
  expect(target.requests).toHaveLength(0)

  // the same machine without a proof, so that nothing but the binding was refused
  const bearer = await tokenOf(stack)
  expect((await stack.post(call, { authorization: `Bearer ${bearer}` })).status).toBe(200)
})
