import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { splitScopes } from '../../../src/auth/oauth/scopes.js'
import type { SignInOptions } from '../../../src/sign-in/flow.js'
import { type ScriptedIssuer, startScriptedIssuer } from '../../helpers/scripted-issuer.js'
import { createDesk, privateFolder, type Resource, startResource } from '../../helpers/sign-in.js'

const ASKED = { interactive: 'requested' } as const

const FORCED = { interactive: 'requested', force: true } as const

let issuer: ScriptedIssuer

let resource: Resource

let folder: string

beforeEach(async () => {
  folder = privateFolder()
  issuer = await startScriptedIssuer()
  resource = await startResource(issuer.issuer)
})

afterEach(async () => {
  await issuer.close()
  await resource.close()
})

const desk = (scope: string | undefined, options: Partial<SignInOptions> = {}, client = {}) =>
  createDesk({
    folder,
    options,
    target: { scope, client, grant: { kind: 'server', url: resource.url } },
  })

const registered = () => issuer.registrations.map(({ scope }) => scope)

const authorized = () => issuer.authorizations.map((query) => query.get('scope'))

const stepUp = (scope: string) =>
  ({ ...ASKED, challenge: { error: 'insufficient_scope', scope } }) as const

describe('the scopes of a registration', () => {
  it('are those that will be asked for', async () => {
    await desk('notes:read notes:write').signIn.ensure(ASKED)
    expect(registered()).toEqual(['notes:read notes:write'])
    expect(authorized()).toEqual(['notes:read notes:write'])
  })

  it('are left out where none is asked for', async () => {
    await desk(undefined).signIn.ensure(ASKED)
    expect(issuer.registrations[0]).not.toHaveProperty('scope')
  })

  it('grow with a step-up, for which a new client is registered, and not once more', async () => {
    issuer.token = () => {
      const scope = issuer.authorizations.at(-1)?.get('scope')
      const access_token = `a${issuer.tokenRequests.length}`
      return { status: 200, body: { access_token, token_type: 'Bearer', scope } }
    }
    const { signIn } = desk(undefined)
    resource.metadata = { ...resource.metadata, scopes_supported: ['notes:read'] }
    await signIn.ensure(ASKED)
    await signIn.ensure(stepUp('notes:write'))
    expect(registered()).toEqual(['notes:read', 'notes:read notes:write'])
    expect(authorized()).toEqual(['notes:read', 'notes:read notes:write'])
    await desk(undefined).signIn.ensure(FORCED)
    expect(issuer.registrations).toHaveLength(2)
  })

  it('of several targets at one server come together in one client', async () => {
    await desk('a').signIn.ensure(ASKED)
    await desk('b').signIn.ensure(FORCED)
    await desk('a').signIn.ensure(FORCED)
    await desk('b').signIn.ensure(FORCED)
    expect(registered()).toEqual(['a', 'a b'])
    expect(authorized()).toEqual(['a', 'b', 'a', 'b'])
  })

  it.each([
    { status: 400, body: { error: 'invalid_client_metadata' } },
    { status: 400, body: { error: 'invalid_scope' } },
    { status: 422, body: 'unexpected member: scope' },
  ])(
    'are left out where the server refuses them with %j, and not tried at each sign-in',
    async (refusal) => {
      issuer.register = (request, id) =>
        'scope' in request ? refusal : { status: 201, body: { ...request, client_id: id } }
      await desk('a b').signIn.ensure(ASKED)
      await desk('a b').signIn.ensure(FORCED)
      expect(registered()).toEqual(['a b', undefined])
      expect(authorized()).toEqual(['a b', 'a b'])
    },
  )

  it('are not blamed when the server is only in trouble', async () => {
    issuer.register = () => ({ status: 503, body: 'busy' })
    await expect(desk('a').signIn.ensure(ASKED)).rejects.toMatchObject({
      code: 'ISSUER_UNREACHABLE',
    })
    expect(registered()).toEqual(['a'])
  })

  it('are all that is asked for where the server grants fewer, without a client for each sign-in', async () => {
    issuer.register = (request, id) => ({
      status: 201,
      body: { ...request, client_id: id, scope: 'a other' },
    })
    await desk('a b').signIn.ensure(ASKED)
    await desk('a b').signIn.ensure(FORCED)
    expect(registered()).toEqual(['a b'])
    expect(authorized()).toEqual(['a', 'a'])
  })

  it.each([null, '', 'unrelated'])(
    'stay what they are when the answer has the scope %j',
    async (scope) => {
      issuer.register = (request, id) => ({
        status: 201,
        body: { ...request, client_id: id, scope },
      })
      await desk('a b').signIn.ensure(ASKED)
      expect(authorized()).toEqual(['a b'])
    },
  )

  it('are nothing to a client that is configured', async () => {
    const { signIn } = desk(undefined, {}, { id: 'mine' })
    issuer.token = () => {
      const scope = issuer.authorizations.at(-1)?.get('scope')
      return { status: 200, body: { access_token: `a${splitScopes(scope ?? '').length}`, scope } }
    }
    await signIn.ensure(ASKED)
    await signIn.ensure(stepUp('x'))
    expect(issuer.registrations).toEqual([])
    expect(authorized()).toEqual([null, 'x'])
  })
})

describe('the grants of a registration', () => {
  const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'
  it.each([
    [undefined, ['authorization_code', 'refresh_token']],
    [null, ['authorization_code', 'refresh_token']],
    [['authorization_code'], ['authorization_code']],
    [
      ['authorization_code', 'refresh_token', DEVICE],
      ['authorization_code', 'refresh_token'],
    ],
  ])('are %j announced, %j registered', async (announced, expected) => {
    if (announced !== undefined) issuer.metadata['grant_types_supported'] = announced
    await desk(undefined).signIn.ensure(ASKED)
    expect(issuer.registrations[0]).toMatchObject({ grant_types: expected })
  })
})

describe('the redirect URIs of a registration', () => {
  it.each([
    [['http://127.0.0.1/callback']],
    [['http://127.0.0.1:28682/callback']],
    [['http://localhost:28682/callback']],
    [['https://app.example/callback']],
    [[]],
    [null],
  ])('answered as %j do not cost a client at each sign-in', async (redirect_uris) => {
    issuer.register = (request, id) => ({
      status: 201,
      body: { ...request, client_id: id, redirect_uris },
    })
    await desk(undefined).signIn.ensure(ASKED)
    await desk(undefined).signIn.ensure(FORCED)
    expect(issuer.registrations).toHaveLength(1)
  })

  it.each([
    [['http://127.0.0.1/callback'], undefined],
    [['http://127.0.0.1:9/callback'], undefined],
    [['http://localhost:28682/callback'], expect.stringContaining('--callback-host localhost')],
  ])('answered as %j are told where they are not ours', async (redirect_uris, note) => {
    issuer.register = (request, id) => ({
      status: 201,
      body: { ...request, client_id: id, redirect_uris },
    })
    const notes: unknown[] = []
    const { signIn } = desk(undefined)
    signIn.onChange((state) => {
      if (state.phase === 'waiting') notes.push(state.note)
    })
    await signIn.ensure(ASKED)
    expect(notes[0]).toEqual(note)
  })

  it.each([
    ['127.0.0.1', 'localhost', { error: 'invalid_redirect_uri' }],
    ['localhost', '127.0.0.1', { error: 'invalid_redirect_uri' }],
    [
      '127.0.0.1',
      'localhost',
      { error: 'invalid_request', error_description: 'Redirect URI is bad' },
    ],
  ] as const)(
    'on %s that are refused: the hint names `--callback-host %s`',
    async (host, other, body) => {
      issuer.register = () => ({ status: 400, body })
      await expect(desk('a', { callbackHost: host }).signIn.ensure(ASKED)).rejects.toMatchObject({
        hint: expect.stringContaining(`--callback-host ${other}`),
      })
      expect(issuer.registrations).toHaveLength(1)
    },
  )
})
