import { describe, expect, it } from 'vitest'
import type { TokenSource } from '../../../../src/auth/tokens/token-source.js'
import type { SignInPort } from '../../../../src/auth/tokens/token-store.js'
import { severalSignIns } from '../../../../src/usecases/access/configured-access.js'
import { URL_DEFAULTS } from '../../../../src/usecases/run-bridge/targets.js'

const target = (name: string, credential: 'none' | 'bearer' = 'none') => ({
  name,
  prefix: name,
  url: `https://${name}.example/mcp`,
  transport: 'auto' as const,
  program: undefined,
  access: {},
  tools: URL_DEFAULTS.tools,
  methods: [],
  credential:
    credential === 'none' ? { type: 'none' as const } : { type: 'bearer' as const, token: 't' },
})

/** Targets of which nobody has tokens, each with a sign-in that works at once. */
async function openTwo() {
  const asked: unknown[] = []
  const source: TokenSource = {
    get: async () => undefined,
    refused: async () => ({ next: 'sign-in' }),
  }
  const several = await severalSignIns({
    targets: [target('a'), target('b'), target('c', 'bearer')],
    common: {
      name: 'a and b',
      profile: 'default',
      grant: { kind: 'server', url: new URL('https://a.example/mcp') },
      client: { id: 'ours', secret: 'secret' },
      scope: undefined,
    },
    sourceOf: async () => source,
    open: async ({ name, client, grant }) => {
      expect(client).toEqual({ id: 'ours' })
      expect(grant).toMatchObject({ url: new URL(`https://${name}.example/mcp`) })
      const port: SignInPort = {
        async ensure(request) {
          asked.push({ name, ...request })
        },
        state: { phase: 'idle' },
        onChange: () => () => undefined,
      }
      return port
    },
  })
  return { several, asked }
}

const SIGNAL = new AbortController().signal

describe('severalSignIns', () => {
  it('refuses a request with the name of the target that has to be signed in to', async () => {
    const { several } = await openTwo()
    const caller = { principal: undefined, accessToken: undefined }
    const answer = { status: 401, challenge: undefined } as const
    for (const name of ['a', 'b']) {
      const refusing = several.partOf(name)?.credential.refused(caller, answer)
      await expect(refusing).rejects.toMatchObject({
        code: 'SIGN_IN_REQUIRED',
        need: { target: name },
      })
    }
    expect(several.partOf('c')).toBeUndefined()
  })

  it('signs in to the target that the need names, and to no other', async () => {
    const { several, asked } = await openTwo()
    const port = await several.open()
    const need = { target: 'b', refused: 'old' }
    await port.ensure({ ...need, interactive: 'offer', signal: SIGNAL })
    expect(asked).toEqual([{ name: 'b', ...need, interactive: 'offer', signal: SIGNAL }])
  })
})
