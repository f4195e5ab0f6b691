import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ConfiguredClient } from '../../../src/auth/oauth/client.js'
import type { JsonObject } from '../../../src/util/json.js'
import {
  basicOf,
  type ScriptedIssuer,
  startScriptedIssuer,
  type TokenRequest,
} from '../../helpers/scripted-issuer.js'
import { createDesk, type Resource, startResource } from '../../helpers/sign-in.js'

const ASKED = { interactive: 'requested' } as const

const METHODS = 'token_endpoint_auth_methods_supported'

let issuer: ScriptedIssuer

let resource: Resource

beforeEach(async () => {
  issuer = await startScriptedIssuer()
  resource = await startResource(issuer.issuer)
})

afterEach(async () => {
  await issuer.close()
  await resource.close()
})

const desk = (client: ConfiguredClient = {}) =>
  createDesk({ target: { client, grant: { kind: 'server', url: resource.url } } })

/** Gives a secret to whoever registers for one, as servers do. */
const withSecret = (answer: JsonObject = {}) => {
  issuer.register = (request, id) => ({
    status: 201,
    body: {
      ...request,
      client_id: id,
      ...(request['token_endpoint_auth_method'] !== 'none' && { client_secret: 'a-secret' }),
      ...answer,
    },
  })
}

const lastRequest = () => issuer.tokenRequests.at(-1) as TokenRequest

describe('a client that registers', () => {
  it.each([
    [undefined, 'none'],
    [['client_secret_basic', 'client_secret_post', 'none'], 'none'],
    [['client_secret_basic', 'client_secret_post'], 'client_secret_post'],
    [['client_secret_post', 'client_secret_basic'], 'client_secret_post'],
    [['private_key_jwt', 'client_secret_basic'], 'client_secret_basic'],
  ])('at a server that offers %j asks for %s', async (methods, expected) => {
    if (methods !== undefined) issuer.metadata[METHODS] = methods
    withSecret()
    await desk().signIn.ensure(ASKED)
    expect(issuer.registrations[0]).toMatchObject({ token_endpoint_auth_method: expected })
    const { form, headers } = lastRequest()
    const isInBody = expected === 'client_secret_post'
    expect(form['client_secret']).toBe(isInBody ? 'a-secret' : undefined)
    expect(form['client_id']).toBe(expected === 'client_secret_basic' ? undefined : 'client-1')
    expect(headers.authorization !== undefined).toBe(expected === 'client_secret_basic')
  })

  it('names itself in the header alone where that is the only way, as Notion and Pylon want it', async () => {
    issuer.metadata[METHODS] = ['client_secret_basic']
    withSecret()
    issuer.token = ({ form }) =>
      'client_id' in form || 'client_secret' in form
        ? { status: 400, body: { error: 'invalid_request' } }
        : { status: 200, body: { access_token: 'a', token_type: 'Bearer', refresh_token: 'r' } }
    const { signIn, source } = desk()
    await signIn.ensure(ASKED)
    expect(await source.refused('a')).toEqual({ next: 'retry' })
    for (const request of issuer.tokenRequests) expect(basicOf(request)).toBe('client-1:a-secret')
    expect(issuer.tokenRequests).toHaveLength(2)
  })

  it.each([
    ['none', { client_secret: 'surplus' }, undefined],
    ['client_secret_post', { client_secret: 's' }, 's'],
    ['client_secret_basic', { client_secret: '' }, undefined],
    ['client_secret_post', { client_secret: null }, undefined],
  ])('is the one that the answer describes: %s with %j', async (method, answer, secret) => {
    withSecret({ token_endpoint_auth_method: method, ...answer })
    await desk().signIn.ensure(ASKED)
    expect(lastRequest().form).toMatchObject({ client_id: 'client-1' })
    expect(lastRequest().form['client_secret']).toBe(secret)
    expect(lastRequest().headers.authorization).toBeUndefined()
  })

  it.each([
    ['no list of methods, and an answer without one', undefined, {}],
    [
      'an answer that names the header',
      ['client_secret_basic', 'client_secret_post'],
      { token_endpoint_auth_method: 'client_secret_basic' },
    ],
  ])(
    'finds out once that its secret belongs into the body, whatever %s says',
    async (_what, methods, answer) => {
      if (methods !== undefined) issuer.metadata[METHODS] = methods
      issuer.register = (_request, id) => ({
        status: 201,
        body: { client_id: id, client_secret: 'a-secret', ...answer },
      })
      issuer.token = ({ form }) =>
        'client_id' in form
          ? { status: 200, body: { access_token: 'a', token_type: 'Bearer', refresh_token: 'r' } }
          : {
              status: 401,
              body: { error: 'invalid_client', error_description: 'Missing client_id' },
            }
      const { signIn, source } = desk()
      await signIn.ensure(ASKED)
      expect(await source.refused('a')).toEqual({ next: 'retry' })
      expect(issuer.tokenRequests.map(({ form }) => form['client_secret'])).toEqual([
        undefined,
        'a-secret',
        'a-secret',
      ])
      expect(issuer.registrations).toHaveLength(1)
    },
  )

  it.each([
    [
      'the metadata wants',
      () => (issuer.metadata[METHODS] = ['private_key_jwt', 'tls_client_auth']),
    ],
    ['the answer says', () => withSecret({ token_endpoint_auth_method: 'private_key_jwt' })],
  ])(
    'says clearly that it cannot sign a JWT where %s so, before any tab opens',
    async (_, change) => {
      change()
      const { signIn, tabs } = desk()
      await expect(signIn.ensure(ASKED)).rejects.toThrow(
        /authenticates clients only by "private_key_jwt".* not supported/,
      )
      expect(tabs).toEqual([])
    },
  )
})

describe('a client that is configured', () => {
  const CLIENT = { id: 'mine', secret: 'my secret' }

  it('puts its secret into the body where the server offers both', async () => {
    issuer.metadata[METHODS] = ['client_secret_basic', 'client_secret_post']
    await desk(CLIENT).signIn.ensure(ASKED)
    expect(lastRequest().form).toMatchObject({ client_id: 'mine', client_secret: 'my secret' })
    expect(issuer.tokenRequests).toHaveLength(1)
  })

  it.each([
    ['client_secret_basic', ['client_secret_post', 'client_secret_basic']],
    ['client_secret_post', undefined],
  ])('that is known for %s finds that out once, whatever %j says', async (method, methods) => {
    if (methods !== undefined) issuer.metadata[METHODS] = methods
    issuer.token = (request) =>
      (basicOf(request) === 'mine:my+secret') === (method === 'client_secret_basic')
        ? { status: 200, body: { access_token: 'a', token_type: 'Bearer', refresh_token: 'r' } }
        : { status: 401, body: { error: 'invalid_client' } }
    const { signIn, source } = desk(CLIENT)
    await signIn.ensure(ASKED)
    expect(issuer.tokenRequests).toHaveLength(2)
    expect(await source.refused('a')).toEqual({ next: 'retry' })
    expect(issuer.tokenRequests).toHaveLength(3)
  })

  it('is told when both ways are refused', async () => {
    issuer.metadata[METHODS] = ['client_secret_basic', 'client_secret_post']
    issuer.token = () => ({ status: 401, body: { error: 'invalid_client' } })
    await expect(desk(CLIENT).signIn.ensure(ASKED)).rejects.toThrow('invalid_client')
  })
})
