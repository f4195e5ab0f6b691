import { describe, expect, it } from 'vitest'
import {
  createSessions,
  MAX_SESSION_ID_LENGTH,
  type Session,
} from '../../../../src/gateway/sessions/sealed-sessions.js'
import { createManualClock } from '../../../helpers/runtime.js'
import { principal } from '../support.js'

const OLD = 'the secret of yesterday, 32 characters or more'

const NEW = 'the secret of today, which has 32 characters or more'

const RESOURCE = 'https://p.example/mcp'

const HOUR = 60 * 60 * 1000

function sessions({ secrets = [NEW], resource = RESOURCE, clock = createManualClock() } = {}) {
  return createSessions({ secrets, clock, resource: () => resource })
}

function session(id: string | undefined = 'target-session-1'): Session {
  return {
    key: 'the-key',
    version: '2025-11-25',
    initialize: { clientInfo: { name: 'Grüße 😀' }, capabilities: {} },
    targets: new Map([
      ['docs', { id, version: '2025-06-18' }],
      ['other', { id: undefined, version: '2025-11-25' }],
    ]),
  }
}

const alice = principal()

describe('a sealed session', () => {
  it('opens in every process with the secret, as it was sealed', () => {
    const sealed = sessions().seal(session(), alice)
    expect(sessions().open(sealed ?? '', alice)).toMatchObject(session())
    expect(sessions().open(sealed ?? '', principal())).toMatchObject(session())
  })

  it('[mcp-session-id-charset] is visible ASCII and hides what is in it', () => {
    const sealed = sessions().seal(session(), alice) ?? ''
    expect(sealed).toMatch(/^[\x21-\x7e]+$/)
    const bytes = Buffer.from(sealed.slice(3), 'base64url').toString('latin1')
    for (const inner of ['target-session-1', 'docs', 'alice', 'clientInfo']) {
      expect(bytes).not.toContain(inner)
    }
  })

  it('opens as an earlier version of the program sealed it', () => {
    const sealed =
      'v1.m-bgBIXQZSVVdkv9gcMO8Xvo2X3WiPKzehh-QmoU1-7BIl8IAOLz0nkysReKoOq0y3TDORHKh_6uEKX9ppS4b3hN2mhjdSlWbfDbFd8kPrSV-TCm9mNP9gh2mVfT7JEVGzES64QQBhA0l0_7vjtD569Es60q1M78OUDT3JrBXj34-7AxHUuUu3Xlvy5UY_a498hR4yFbtNPjCq4gNgwlZ2F5GK6TklFYKWyQEFLCR4_4At___hEv9ro5VhfeAFeA92KE-rWUL6C50THx9XX3itOTuEJ4O5of0jiA7Vg8C7wsM78D9bAj0G7frX482pLsTKFahlgYoiZWB2kAnJ0AHndpnckTsHA'
    expect(sessions().open(sealed, alice)).toMatchObject(session())
    expect(sessions({ resource: 'https://other.example/mcp' }).open(sealed, alice)).toBeUndefined()
  })

  it('differs each time', () => {
    const { seal } = sessions()
    expect(seal(session(), alice)).not.toBe(seal(session(), alice))
  })

  it('does not open when any bit was changed', () => {
    const sealed = sessions().seal(session(), alice) ?? ''
    const bytes = Buffer.from(sealed.slice(3), 'base64url')
    const { open } = sessions()
    for (let at = 0; at < bytes.length; at++) {
      const forged = Buffer.from(bytes)
      forged[at] = (forged[at] as number) ^ (1 << (at % 8))
      expect(open(`v1.${forged.toString('base64url')}`, alice)).toBeUndefined()
    }
  })

  it('has one spelling only', () => {
    // lengths of all three kinds, of which two leave bits over in the last character
    for (const id of ['x', 'xx', 'xxx']) {
      const sealed = sessions().seal(session(id), alice) ?? ''
      const last = sealed.charCodeAt(sealed.length - 1)
      const variants = ['A', 'B', 'Q', 'g', 'w', String.fromCharCode(last + 1)]
        .map((end) => sealed.slice(0, -1) + end)
        .filter((variant) => variant !== sealed)
        .concat(`${sealed}=`, `${sealed} `, sealed.replace('v1.', 'v1.!'), `${sealed}\n`)
      for (const variant of variants) {
        expect(sessions().open(variant, alice)).toBeUndefined()
      }
    }
  })

  it.each([
    ['empty', ''],
    ['of another kind', 'v2.AAAA'],
    ['without content', 'v1.'],
    ['too short', `v1.${'A'.repeat(37)}`],
    ['a UUID', '1868a90c-e6c5-4b7a-8f67-d4a4d4a4d4a4'],
    ['too long', `v1.${'A'.repeat(MAX_SESSION_ID_LENGTH)}`],
    ['not ASCII', 'v1.é😀'],
  ])('does not open when it is %s', (_title, sealed) => {
    expect(sessions().open(sealed, alice)).toBeUndefined()
  })

  it.each([
    ['subject', principal({ subject: 'bob' })],
    ['issuer', principal({ issuer: 'https://other.example' })],
    ['tenant', principal({ tenant: 'T1' })],
    ['nobody', undefined],
  ])(
    '[mcp-authz-r11] does not open for another %s, even after its owner used it',
    (_title, other) => {
      const { seal, open } = sessions()
      const sealed = seal(session(), alice) ?? ''
      expect(open(sealed, alice)).toBeDefined()
      expect(open(sealed, other)).toBeUndefined()
      expect(open(sealed, alice)).toBeDefined()
    },
  )

  it('keeps its owner when only the rights in the token change', () => {
    const { seal, open } = sessions()
    const later = principal({ scopes: new Set(['more']), expiresAt: 2_100_000_000 })
    expect(open(seal(session(), alice) ?? '', later)).toMatchObject(session())
  })

  it('belongs to nobody without authentication', () => {
    const { seal, open } = sessions()
    const sealed = seal(session(), undefined) ?? ''
    expect(open(sealed, undefined)).toMatchObject(session())
    expect(open(sealed, alice)).toBeUndefined()
  })

  it('does not open for another resource or with another secret', () => {
    const sealed = sessions().seal(session(), alice) ?? ''
    expect(sessions({ resource: 'https://p.example/mcp2' }).open(sealed, alice)).toBeUndefined()
    expect(sessions({ secrets: [OLD] }).open(sealed, alice)).toBeUndefined()
  })

  it('opens with a previous secret and is never sealed with one', () => {
    const both = sessions({ secrets: [NEW, OLD] })
    expect(
      both.open(sessions({ secrets: [OLD] }).seal(session(), alice) ?? '', alice),
    ).toBeDefined()
    const sealed = both.seal(session(), alice) ?? ''
    expect(sessions({ secrets: [NEW] }).open(sealed, alice)).toBeDefined()
    expect(sessions({ secrets: [OLD] }).open(sealed, alice)).toBeUndefined()
  })

  it('ends after 24 hours, whether it was opened before or not', async () => {
    const clock = createManualClock()
    const used = sessions({ clock })
    const sealed = used.seal(session(), alice) ?? ''
    expect(used.open(sealed, alice)).toBeDefined()
    await clock.advance(24 * HOUR - 1)
    expect(used.open(sealed, alice)).toBeDefined()
    await clock.advance(1)
    expect(used.open(sealed, alice)).toBeUndefined()
    expect(sessions({ clock }).open(sealed, alice)).toBeUndefined()
  })

  it('is at most 4096 characters long, or it is not made', () => {
    const { seal, open } = sessions()
    const lengths = new Set<number>()
    for (let size = 2_600; size < 3_100; size++) {
      const sealed = seal(session('x'.repeat(size)), alice)
      if (sealed === undefined) continue
      lengths.add(sealed.length)
      expect(open(sealed, alice)).toMatchObject(session('x'.repeat(size)))
    }
    expect(Math.max(...lengths)).toBeLessThanOrEqual(MAX_SESSION_ID_LENGTH)
    expect(Math.max(...lengths)).toBeGreaterThan(MAX_SESSION_ID_LENGTH - 4)
    expect(seal(session('x'.repeat(4_000)), alice)).toBeUndefined()
  })

  it('is not made without a secret', () => {
    expect(sessions({ secrets: [] }).seal(session(), alice)).toBeUndefined()
  })

  it('that was used last needs no decryption after a thousand others', () => {
    const { seal, open } = sessions()
    const sealed = Array.from({ length: 1_100 }, () => seal(session(), alice) ?? '')
    let last = open(sealed[0] ?? '', alice)
    for (const [i, each] of sealed.slice(1).entries()) {
      const next = open(each, alice)
      expect(open(sealed[i] ?? '', alice)).toBe(last)
      last = next
    }
  })

  it('still opens after more than a thousand others', () => {
    const { seal, open } = sessions()
    const sealed = Array.from({ length: 1_100 }, (_, i) => seal(session(`s${i}`), alice) ?? '')
    for (const [i, each] of sealed.entries()) {
      expect(open(each, alice)?.targets.get('docs')?.id).toBe(`s${i}`)
    }
    expect(open(sealed[0] ?? '', alice)?.targets.get('docs')?.id).toBe('s0')
  })
})

const options = {
  secrets: ['a secret that all replicas share, long'],
  clock: createManualClock(),
  resource: () => 'https://mcp.example.com/mcp',
}

it('a session carries what its targets declare not, and their cookies, to any replica', () => {
  const session: Session = {
    ...{ key: 'k', version: '2025-11-25', initialize: {} },
    targets: new Map([
      ['a', { id: 's-1', version: '2025-11-25', lacks: ['prompts'], cookies: [['lb=1', 5]] }],
      ['b', { id: undefined, version: '2025-06-18' }],
    ]),
  }
  const sealed = createSessions(options).seal(session, undefined) ?? ''
  expect(sealed).not.toContain('lb=1')
  expect(createSessions(options).open(sealed, undefined)).toMatchObject(session)
})
