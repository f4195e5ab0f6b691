import { describe, expect, it } from 'vitest'
import { run } from '../../../src/cli/run.js'
import { renderIdentity, reportIdentity } from '../../../src/usecases/login/identity-report.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const ESCAPE = '\u001b[2Jall is well\u202e\u009b1m\nallowed'
const jwt = (claims: object) =>
  ['{}', JSON.stringify(claims), 'x']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.')

/** What a terminal would obey, or take for another line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is meant
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]|^\s*allowed/m

describe('what somebody else wrote into a token', () => {
  it('moves nothing on the terminal of `status`', () => {
    const record = {
      target: 'docs',
      binding: { url: 'https://mcp.example/mcp', profile: 'default', resource: undefined },
      issuer: `https://as.example/${ESCAPE}`,
      accessToken: jwt({ sub: 'U1', email: ESCAPE }),
      scope: `mcp:use ${ESCAPE}`,
      client: { id: 'c' },
      expiresAt: undefined,
      refreshToken: undefined,
    } as unknown as Parameters<typeof reportIdentity>[0]
    const place = { kind: 'file', path: '/tokens', reason: 'asked for' } as const
    const text = renderIdentity(reportIdentity(record, place, 0), 0)
    expect(text).toContain('all is well')
    expect(text).not.toMatch(OBEYED)
  })

  it.each([[[]], [['--json']]])(
    'moves nothing on that of `config explain-access` %j',
    async (flags) => {
      const targets = { docs: { url: 'https://docs.example/mcp', access: { roles: ['boss'] } } }
      const claims = {
        sub: ESCAPE,
        dct: ESCAPE,
        roles: [ESCAPE],
        permissions: [ESCAPE],
        scope: [ESCAPE],
      }
      const cwd = createFolder({
        'mcp-descope-proxy.config.json': { targets },
        'token.txt': jwt(claims),
      })
      const runtime = createTestRuntime({ cwd })
      const argv = ['config', 'explain-access', ...flags, '--token', 'token.txt', `docs_${ESCAPE}`]
      expect(await run(runtime, argv)).toBe(0)
      expect(runtime.stdout()).toContain('all is well')
      expect(runtime.stdout()).not.toMatch(OBEYED)
    },
  )
})

describe('config explain-access', () => {
  it('says that rules hold for what an alias stands for, which it does not know', async () => {
    const targets = { docs: { url: 'https://docs.example/mcp', tools: { deny: ['delete *'] } } }
    const cwd = createFolder({ 'mcp-descope-proxy.config.json': { targets } })
    const explain = async (...argv: string[]) => {
      const runtime = createTestRuntime({ cwd })
      await run(runtime, ['config', 'explain-access', '--claims', '{}', ...argv])
      return runtime.stdout()
    }
    const alias = 'docs_delete_all_1a2b3c'
    expect(await explain(alias)).toContain(`${alias} has the form of an alias`)
    expect(JSON.parse(await explain('--json', alias))).toMatchObject({ mayBeAlias: true })
    expect(await explain('docs_delete_all')).not.toContain('alias')
    expect(await explain('docs_delete all')).toContain('refused')
  })
})
