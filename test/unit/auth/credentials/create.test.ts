import { describe, expect, it } from 'vitest'
import { createCredential } from '../../../../src/auth/credentials/create.js'
import type { Caller } from '../../../../src/auth/credentials/credential.js'
import { parseConfigUrl } from '../../../../src/auth/descope/discovery.js'
import type { CredentialConfig } from '../../../../src/config/target-types.js'
import { AGENTIC_PATH, createTestClock, START } from '../support.js'

const UNAUTHORIZED = { status: 401, challenge: undefined } as const

const nobody: Caller = { principal: undefined, accessToken: undefined }

const deps = {
  runtime: {
    fetch: () => Promise.reject(new Error('Nothing is to be fetched')),
    clock: createTestClock(),
  },
  targetUrl: 'https://target.example/mcp',
  descope: undefined,
}

describe('createCredential', () => {
  it.each<{ settings: CredentialConfig; headers: object }>([
    { settings: { type: 'none' }, headers: {} },
    {
      settings: { type: 'bearer', token: 'abc.def~+/=' },
      headers: { authorization: 'Bearer abc.def~+/=' },
    },
    {
      settings: { type: 'header', name: 'X-Api-Key', value: 'two words' },
      headers: { 'x-api-key': 'two words' },
    },
  ])('gives $headers for $settings.type, always the same object', ({ settings, headers }) => {
    const credential = createCredential(settings, deps)
    const first = credential.headers(nobody)
    expect(first).toEqual(headers)
    expect(credential.headers(nobody)).toBe(first)
    expect(Object.isFrozen(first)).toBe(true)
    expect(credential.refused(nobody, UNAUTHORIZED)).toBe(false)
  })

  it.each([
    { type: 'bearer', token: '' },
    { type: 'bearer', token: 'line\nbreak' },
    { type: 'bearer', token: 'two words' },
    { type: 'header', name: 'X-Key', value: '' },
    { type: 'header', name: 'X-Key', value: 'a\r\nHost: evil' },
    { type: 'header', name: 'X-Key', value: ' padded' },
    { type: 'header', name: 'X Key', value: 'a' },
    { type: 'header', name: '', value: 'a' },
    { type: 'header', name: 'Host', value: 'a' },
    { type: 'header', name: 'Content-Length', value: '1' },
    { type: 'header', name: 'Mcp-Session-Id', value: '1' },
  ] as const)('refuses %j and does not repeat its value', (settings) => {
    const create = () => createCredential(settings, deps)
    expect(create).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(create).not.toThrow(/evil|break|words|padded/)
  })

  it.each([
    {
      type: 'token-exchange',
      clientId: 'c',
      clientSecret: 's',
      scope: undefined,
      resource: undefined,
      audience: undefined,
    },
    { type: 'connection', app: 'github', by: 'user', managementKey: 'k' },
  ] as const)('needs Descope for $type', (settings) => {
    expect(() => createCredential(settings, deps)).toThrow(
      `The credential type "${settings.type}" needs Descope`,
    )
  })

  it.each<{ settings: CredentialConfig; url: string; answer: object }>([
    {
      settings: {
        type: 'client-credentials',
        tokenUrl: 'https://as.example/token',
        clientId: 'c',
        clientSecret: 's',
        scope: undefined,
      },
      url: 'https://as.example/token',
      answer: { access_token: 'issued', token_type: 'bearer' },
    },
    {
      settings: {
        type: 'token-exchange',
        clientId: 'c',
        clientSecret: 's',
        scope: undefined,
        resource: undefined,
        audience: undefined,
      },
      url: 'https://api.descope.com/oauth2/v1/apps/token',
      answer: { access_token: 'issued', token_type: 'bearer' },
    },
    {
      settings: { type: 'connection', app: 'github', by: 'user', managementKey: undefined },
      url: 'https://api.descope.com/v1/mgmt/outbound/app/user/token/latest',
      answer: { token: { accessToken: 'issued' } },
    },
  ])('asks $url for $settings.type when the first request comes', async (row) => {
    const asked: string[] = []
    const credential = createCredential(row.settings, {
      runtime: {
        fetch: async (url) => {
          asked.push(String(url))
          return Response.json(row.answer)
        },
        clock: createTestClock(),
      },
      targetUrl: 'https://target.example/mcp',
      descope: {
        project: parseConfigUrl(`https://api.descope.com${AGENTIC_PATH}`),
        tokenEndpoint: async () => 'https://api.descope.com/token',
      },
    })
    expect(asked).toEqual([])
    const caller: Caller = {
      accessToken: 'mine',
      principal: {
        issuer: 'https://api.descope.com',
        subject: 'U1',
        clientId: undefined,
        scopes: new Set(),
        tenant: undefined,
        roles: [],
        permissions: [],
        expiresAt: START / 1000 + 600,
      },
    }
    expect(await credential.headers(caller)).toEqual({ authorization: 'Bearer issued' })
    expect(asked).toEqual([row.url])
  })
})
