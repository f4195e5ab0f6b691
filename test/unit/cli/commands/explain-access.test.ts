import { describe, expect, it } from 'vitest'
import { run } from '../../../../src/cli/run.js'
import { resolveConfig } from '../../../../src/config/load.js'
import { createFolder } from '../../../helpers/folder.js'
import { createTestRuntime } from '../../../helpers/runtime.js'

const targets = {
  vault: {
    url: 'https://vault.example/mcp',
    access: { tenants: ['T1'], roles: ['boss'] },
    tools: {
      deny: ['burn*'],
      permissions: { 'open*': ['vault.open'] },
      scopes: { '*': ['vault'], 'count*': ['count'] },
    },
  },
  shared: { url: 'https://shared.example/mcp' },
}
const BOSS = { sub: 'U1', dct: 'T1', tenants: { T1: { roles: ['boss'] } } }

const settings = (change: object = {}) =>
  createFolder({ 'mcp-descope-proxy.config.json': { targets, ...change } })

async function start(argv: string[], cwd = settings()) {
  const runtime = createTestRuntime({ cwd })
  const status = await run(runtime, ['config', ...argv])
  return { status, stdout: runtime.stdout(), stderr: runtime.stderr() }
}

const explain = async (name: string, claims: object, cwd?: string) => {
  const argv = ['explain-access', '--json', '--claims', JSON.stringify(claims), name]
  return JSON.parse((await start(argv, cwd)).stdout)
}

describe('config explain-access', () => {
  it.each([
    ['a role elsewhere', { dct: 'T2', tenants: { T1: { roles: ['boss'] } } }, 'access.tenants'],
    ['no role', { dct: 'T1' }, 'access.roles'],
    ['nothing', {}, 'access.tenants'],
  ])('names the rule that keeps a caller with %s from a target', async (_title, claims, rule) => {
    for (const name of ['vault_count', 'gold://vault/bars']) {
      const { target, allowed, verdicts } = await explain(name, claims)
      expect({ target, allowed }).toEqual({ target: 'vault', allowed: false })
      for (const verdict of verdicts) expect(verdict).toMatchObject({ refusal: 'access', rule })
    }
  })

  it.each([
    ['vault_burn_all', 'policy', 'tools.deny "burn*"'],
    ['vault_open', 'policy', 'tools.permissions "open*"'],
    ['vault_count', 'scope', 'tools.scopes "*"'],
  ])('names the rule that refuses %s', async (name, refusal, rule) => {
    const { verdicts } = await explain(name, BOSS)
    expect(verdicts[0]).toMatchObject({ kind: 'tool', allowed: false, refusal, rule })
    expect(verdicts[1]).toEqual({ kind: 'prompt', allowed: true })
  })

  it('says what is allowed, and what the caller has', async () => {
    const claims = JSON.stringify({ ...BOSS, scope: 'vault count', permissions: ['vault.open'] })
    const { status, stdout } = await start(['explain-access', '--claims', claims, 'vault_open'])
    expect(status).toBe(0)
    expect(stdout).toContain('allowed  tool "open" of target "vault"')
    expect(stdout).toContain('Nothing was sent to the target: whether it has a tool or prompt')
    expect(stdout).toContain('endpoint     http://localhost:8000/mcp')
    expect(stdout).toMatch(/^scopes {7}vault count$/m)
    expect(stdout).toContain('not verified')
  })

  it('says so when a name leads elsewhere, because its own target is hidden', async () => {
    const open = { ...targets, shared: { ...targets.shared, prefix: '' } }
    const found = await explain('vault_open', {}, settings({ targets: open }))
    expect(found).toMatchObject({ target: 'vault', allowed: false, leadsTo: 'shared' })
  })

  it('knows the scopes that every token must carry', async () => {
    const cwd = settings({ descope: { requiredScopes: ['mcp'] } })
    const { verdicts } = await explain('shared_echo', {}, cwd)
    expect(verdicts[0]).toMatchObject({ refusal: 'scope', rule: 'descope.requiredScopes' })
  })

  it('says of a token that has expired that it is refused in any case', async () => {
    const claims = (exp: number) => JSON.stringify({ ...BOSS, exp })
    const of = async (exp: number) =>
      (await start(['explain-access', '--claims', claims(exp), 'shared_x'])).stdout
    expect(await of(1)).toContain('The token has expired')
    expect(await of(99_999_999_999)).not.toContain('expired')
  })

  it('reads the claims of a token in a file', async () => {
    const payload = Buffer.from(JSON.stringify(BOSS)).toString('base64url')
    const cwd = createFolder({
      'mcp-descope-proxy.config.json': { targets },
      token: `e30.${payload}.c2ln\n`,
    })
    const { stdout } = await start(['explain-access', '--token', 'token', 'vault_burn'], cwd)
    expect(stdout).toContain('policy (tools.deny "burn*")')
    expect(stdout).not.toContain(payload)
  })

  it.each([
    ['neither a token nor claims', ['vault_x']],
    ['both', ['vault_x', '--claims', '{}', '--token', 'x']],
    ['claims that are no object', ['vault_x', '--claims', '[]']],
    ['claims that are no JSON', ['vault_x', '--claims', '{']],
    ['claims with a malformed time', ['vault_x', '--claims', '{"exp":"soon"}']],
    ['a file that is not there', ['vault_x', '--token', 'nowhere']],
    ['a file without a token', ['vault_x', '--token', 'mcp-descope-proxy.config.json']],
    ['a name that leads nowhere', ['other_x', '--claims', '{}']],
    ['a URI that leads nowhere', ['gold://other/x', '--claims', JSON.stringify(BOSS)]],
  ])('exits 2 with %s', async (_title, argv) => {
    const { status, stdout, stderr } = await start(['explain-access', ...argv])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^error: .+/)
  })
})

describe('config explain-access, of prompts and resources', () => {
  const rules = {
    prompts: { deny: ['hush'], scopes: { sell: ['sales'] } },
    resources: { allow: ['note://*'], roles: { 'note://boss/*': ['boss'] } },
  }
  const notes = () =>
    settings({
      targets: {
        notes: { url: 'https://notes.example/mcp', ...rules },
        shared: { url: 'https://shared.example/mcp' },
      },
    })

  it.each([
    ['notes_hush', 1, { kind: 'prompt', refusal: 'policy', rule: 'prompts.deny "hush"' }],
    ['notes_hush', 0, { kind: 'tool', allowed: true }],
    ['notes_sell', 1, { refusal: 'scope', rule: 'prompts.scopes "sell"', scopes: ['sales'] }],
    ['note://notes/a', 0, { kind: 'resource', allowed: true }],
    ['note://notes/boss/1', 0, { refusal: 'policy', rule: 'resources.roles "note://boss/*"' }],
    ['note://notes/+x%2F..%2Fboss%2F1', 0, { allowed: false }],
    ['note://notes/boss/{id}', 0, { kind: 'template', rule: 'resources.roles "note://boss/*"' }],
    ['note://notes/={folder}/{id}', 0, { kind: 'template', allowed: true }],
    ['note://notes/{+path}', 0, { kind: 'template', allowed: true }],
    ['file://notes/=/etc', 0, { kind: 'resource', rule: 'resources.allow' }],
    ['notes+{+uri}', 0, { kind: 'template', allowed: true }],
  ])('says of %s by which rule (%i)', async (name, at, verdict) => {
    const { verdicts } = await explain(name, {}, notes())
    expect(verdicts[at]).toMatchObject(verdict)
  })

  it('knows URIs as they are where there is one target', async () => {
    const alone = settings({ targets: { notes: { url: 'https://n.example/mcp', ...rules } } })
    for (const uri of ['note://boss/1', 'NOTE://boss/1', 'file:///x']) {
      const { verdicts } = await explain(uri, {}, alone)
      expect(verdicts[0]).toMatchObject({ kind: 'resource', allowed: false })
    }
  })
})

describe('config validate', () => {
  const check = async (vault: object, more: object = {}) => {
    const url = targets.vault.url
    const cwd = settings({ targets: { vault: { url, ...vault } }, ...more })
    return await start(['validate', 'mcp-descope-proxy.config.json'], cwd)
  }

  it.each([
    ['roles', { tools: { roles: { '*': ['boss'] } } }],
    ['permissions', { tools: { permissions: { '*': ['x'] } } }],
    ['tenants', { tools: { tenants: { 'x*': ['T2'], '**': ['T1'] } } }],
  ])('warns of a target whose tools alone are kept for some: by %s', async (member, vault) => {
    const { status, stderr } = await check(vault)
    expect(status).toBe(0)
    expect(stderr).toContain('Only some callers may use the tools of the target "vault"')
    expect(stderr).toContain(`write "access": {"${member}": [...]}`)
  })

  it.each([
    [
      'resources',
      { tools: { roles: { '*': ['boss'] } }, prompts: { allow: [] } },
      'the tools of the target "vault", and all may use its resources',
    ],
    [
      'tools and prompts',
      { resources: { tenants: { '*': ['T1'] } } },
      'the resources of the target "vault", and all may use the rest of it: its tools, prompts, instructions',
    ],
  ])('names what is left open: %s', async (_title, vault, text) => {
    expect((await check(vault)).stderr).toContain(text)
  })

  it.each([
    [
      'whose prompts and resources are restricted, too',
      {
        prompts: { roles: { '*': ['boss'] } },
        resources: { scopes: { '*': ['read'] } },
      },
    ],
    ['that says who may use it at all', { access: { roles: ['boss'] } }],
    ['where one tool is kept for some', { tools: { roles: { burn: ['boss'] } } }],
  ])('does not warn of a target %s', async (_title, vault) => {
    const tools = { roles: { '*': ['boss'] } }
    expect((await check({ tools, ...vault })).stderr).toBe('')
  })

  it.each([
    [{ resources: { denied: [] } }, 'Unknown setting "targets.vault.resources.denied"'],
    [{ prompts: { roles: ['boss'] } }, 'targets.vault.prompts.roles'],
    [{ resources: { whenScopeMissing: 'show' } }, 'targets.vault.resources.whenScopeMissing'],
  ])('refuses %j and says why', async (vault, text) => {
    const { status, stderr } = await check(vault)
    expect(status).toBe(2)
    expect(stderr).toContain(text)
  })

  it.each([[null], [{}]])('refuses "access": %j, which would admit everybody', async (access) => {
    const { status, stderr } = await check({ access })
    expect(status).toBe(2)
    expect(stderr).toContain('targets.vault.access is empty')
  })

  it('warns that stdio, which knows no callers, admits nobody', () => {
    const { vault, shared } = targets
    const { warnings } = resolveConfig({ targets: { vault, shared } }, { for: 'stdio' })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('Nobody is admitted to the target "vault": in stdio')
  })

  it('warns that without sign-in nobody is admitted', async () => {
    const server = { insecureNoAuth: true }
    const { stderr } = await check({ access: { roles: ['boss'] } }, { server })
    expect(stderr).toContain('Nobody is admitted to the target "vault"')
  })
})
