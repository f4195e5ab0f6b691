import { describe, expect, it } from 'vitest'
import { createPendingStore, type PendingBrowser } from '../../../src/sign-in/pending-sign-in.js'
import { createManualClock } from '../../helpers/runtime.js'
import { privateFolder } from '../../helpers/sign-in.js'

describe('the pending sign-in', () => {
  const pending: PendingBrowser = {
    kind: 'browser',
    method: 'browser',
    key: 'a'.repeat(32),
    server: {
      issuer: 'https://as',
      metadataUrl: undefined,
      authorizationEndpoint: 'https://as/authorize',
      tokenEndpoint: 'https://as/token',
      registrationEndpoint: undefined,
      revocationEndpoint: undefined,
      deviceAuthorizationEndpoint: undefined,
      scopesSupported: [],
      grantTypes: [],
      tokenAuthMethods: [],
      clientIdMetadataDocuments: false,
      issInResponses: false,
    },
    client: {
      id: 'c',
      secret: undefined,
      authMethod: 'none',
      source: 'dynamic',
      redirectUris: ['u'],
    },
    resource: 'https://mcp',
    scope: undefined,
    note: undefined,
    since: 1,
    expiresAt: Date.UTC(2026, 0, 1) + 60_000,
    url: 'https://as/authorize?x',
    redirectUri: 'http://127.0.0.1:28682/callback',
    state: 's',
    verifier: 'v',
    tab: undefined,
  }

  it('[bridge-resumes-sign-in] is there for the next process until its time is over', async () => {
    const clock = createManualClock()
    const folder = privateFolder()
    await createPendingStore(folder, clock.now).save(pending)
    const later = createPendingStore(folder, clock.now)
    expect(await later.load(pending.key)).toEqual(pending)
    expect(await later.load('b'.repeat(32))).toBeUndefined()
    await clock.advance(60_001)
    expect(await later.load(pending.key)).toBeUndefined()
  })
})
