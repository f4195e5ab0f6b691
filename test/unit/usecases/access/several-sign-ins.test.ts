import { describe, expect, it } from 'vitest'
import type { SignInPort } from '../../../../src/auth/tokens/sign-in-target.js'
import type { TokenSource } from '../../../../src/auth/tokens/token-source.js'
import { severalSignIns } from '../../../../src/usecases/access/several-sign-ins.js'
import { URL_DEFAULTS } from '../../../../src/usecases/run-bridge/run-bridge.js'

const target = (name: string, credential: 'none' | 'bearer' = 'none') => ({
  name,
  prefix: name,
  url: `https://${name}.example/mcp`,
  transport: 'auto' as const,
  program: undefined,
  tools: URL_DEFAULTS.tools,
  methods: [],
  credential:
    credential === 'none' ? { type: 'none' as const } : { type: 'bearer' as const, token: 't' },
})

/** Targets of which nobody has tokens; `refusing` are those that nobody wants to sign in to. */
async function begin(refusing: Set<string>) {
  const tokens = new Map<string, string>()
  const asked: string[] = []
  const source = (name: string): TokenSource => ({
    get: async () => tokens.get(name),
    refused: async () => ({ next: 'sign-in' }),
  })
  const several = await severalSignIns({
    targets: [target('a'), target('b'), target('c', 'bearer')],
    common: {
      name: 'a and b',
      profile: 'default',
      grant: { kind: 'server', url: new URL('https://a.example/mcp') },
      client: { id: 'ours', secret: 'secret' },
      scope: undefined,
    },
    sourceOf: async ({ name }) => source(name),
    open: async ({ name, client, grant }) => {
      expect(client).toEqual({ id: 'ours' })
      expect(grant).toMatchObject({ url: new URL(`https://${name}.example/mcp`) })
      const port: SignInPort = {
        async ensure() {
          asked.push(name)
          if (refusing.has(name)) throw new Error(`not to ${name}`)
          tokens.set(name, `token of ${name}`)
        },
        state: { phase: 'idle' },
        onChange: () => () => undefined,
      }
      return port
    },
  })
  const refuse = (name: string) => {
    const caller = { principal: undefined, accessToken: undefined }
    const answer = { status: 401, challenge: undefined } as const
    return Promise.resolve(several.partOf(name)?.credential.refused(caller, answer))
  }
  const { signal } = new AbortController()
  const port = await several.open()
  return {
    several,
    port,
    asked,
    tokens,
    refuse,
    request: { interactive: 'offer', signal } as const,
  }
}

describe('severalSignIns', () => {
  it('signs in to all that asked, one after the other, and to no other', async () => {
    const { several, port, asked, refuse, request } = await begin(new Set())
    expect(several.partOf('c')).toBeUndefined()
    expect(several.need()).toBeUndefined()
    for (const name of ['b', 'a']) {
      await expect(refuse(name)).rejects.toMatchObject({ code: 'SIGN_IN_REQUIRED' })
    }
    expect(several.need()).toMatchObject({ target: 'b' })
    await port.ensure(request)
    expect(asked).toEqual(['b', 'a'])
    expect(several.need()).toBeUndefined()
  })

  it('begins with the next one after one that came to nothing', async () => {
    const refusing = new Set(['a'])
    const { several, port, asked, refuse, request } = await begin(refusing)
    for (const name of ['a', 'b']) await refuse(name).catch(() => undefined)
    await expect(port.ensure(request)).rejects.toThrow('not to a')
    expect(several.need()).toMatchObject({ target: 'a' })
    await expect(port.ensure(request)).rejects.toThrow('not to a')
    expect(asked).toEqual(['a', 'b', 'a'])
    refusing.clear()
    await port.ensure(request)
    expect(several.need()).toBeUndefined()
  })

  it('notices when somebody signed in to one of them elsewhere', async () => {
    const { several, tokens, refuse } = await begin(new Set())
    for (const name of ['a', 'b']) await refuse(name).catch(() => undefined)
    expect(await several.isMet()).toBe(false)
    tokens.set('b', 'from elsewhere')
    expect(await several.isMet()).toBe(true)
    expect(several.need()).toMatchObject({ target: 'a' })
  })
})
