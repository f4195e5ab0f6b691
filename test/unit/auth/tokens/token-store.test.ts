import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createDataKeys, type StoreDeps } from '../../../../src/auth/tokens/store/data-key.js'
import { createTokenStore } from '../../../../src/auth/tokens/store/file-store.js'
import {
  type Keychain,
  probeKeychain,
  systemKeychain,
} from '../../../../src/auth/tokens/store/keychain.js'
import { storeKey, type TokenRecord } from '../../../../src/auth/tokens/token-store.js'
import { createClock } from '../../../../src/util/async.js'
import { createSystem } from '../../../../src/util/system.js'
import { createManualClock } from '../../../helpers/runtime.js'
import { privateFolder } from '../../../helpers/sign-in.js'

const clock = createClock()

const BINDING = {
  profile: 'default',
  url: 'https://mcp.example/mcp',
  issuer: undefined,
  clientId: undefined,
}

const RECORD: TokenRecord = {
  binding: BINDING,
  target: 'main',
  issuer: 'https://as.example',
  metadataUrl: 'https://as.example/.well-known/oauth-authorization-server',
  resource: BINDING.url,
  client: { id: 'c', secret: undefined, authMethod: 'none', source: 'static', redirectUris: [] },
  accessToken: 'access-secret',
  refreshToken: 'refresh-secret',
  requestedScope: undefined,
  scope: 'a',
  receivedAt: 1,
  expiresAt: 2,
}

function depsOf(folder: string, changes: Partial<StoreDeps> = {}): StoreDeps {
  return {
    clock,
    system: createSystem(process, clock),
    platform: 'linux',
    folder,
    choice: 'file',
    ...changes,
  }
}

/** A keychain in memory. */
function memoryKeychain(values = new Map<string, string>()): Keychain {
  return {
    name: 'Test Keychain',
    read: async (account) => values.get(account),
    write: async (account, value) => void values.set(account, value),
    remove: async (account) => void values.delete(account),
  }
}

describe('the token store', () => {
  it('gives back what was kept, also to a process that starts later', async () => {
    const folder = privateFolder()
    await createTokenStore(depsOf(folder)).save(RECORD)
    expect(await createTokenStore(depsOf(folder)).load(BINDING)).toEqual(RECORD)
    expect(await createTokenStore(depsOf(folder)).list()).toEqual([RECORD])
  })

  it('reads an encrypted file as an earlier version of the program wrote it', async () => {
    const folder = privateFolder()
    await createTokenStore(depsOf(folder)).save(RECORD)
    const sealed = {
      iv: 'MhuOKCuiZIvJqlDD',
      data: 'rZqlDylOXgiGQo+ktjq3p8IPkC18iSVvml2FPA/PuoZrkQ7UmQrG1/Vg6Be/2cKFuaw+vYPdlLpP+nEHtc4z5h/5HJ3wyHiv2aAv0nOiBSJIJ7QkE8y5ibZttbN382sTMNrgSXKpuTL/ve3pyoHJuDc7buQsW40gf5FrC2zqsH19zxB5bzwzwf7vazsRc/MTZG0Eqlju9jfAyh6D+3lERPlB2PlCN5+9WwMDTFmITPHv/gsBNz64MoI2t+OcgbSuja49aL/y6Ppc1w9c09kJEZuRk5q/o9qgiQgGen6ChRe/GcjlIGtVdzzuXjgQUvqiWpUbwAE3IPpzT6tPtyj86xPWpHtxDY0dQOkd6BcsSOoyGkjYZ7XGekR3TJRB4PM23vsPf2PRiFpAHJ+XhWn3hTvgksXmMHVY6Pbpv6lzQ34HzlO9PUND/MYGEeTb4q5qE1LDtZyS/VxG5x3CgC+po495HVNdZRkmpr4BbA8Wz97Qc5EUDi+Bfos4j0Nr3h1VnULXeniYyATWZvspT37pJzk=',
      tag: '8ZfE0n0Jou0cm9gR7qVXlQ==',
    }
    const path = join(folder, 'tokens', 'c4faa44ec4ba6c18bf86416d0a0246a4.json')
    writeFileSync(path, JSON.stringify({ schema: 1, sealed }))
    const keychain = memoryKeychain(new Map([['data-key', '07'.repeat(32)]]))
    const deps = depsOf(folder, { choice: 'keychain' })
    const store = createTokenStore(deps, createDataKeys(deps, keychain))
    expect(await store.load(BINDING)).toEqual(RECORD)
    const changed = { ...sealed, iv: Buffer.from(sealed.iv, 'base64').fill(0).toString('base64') }
    writeFileSync(path, JSON.stringify({ schema: 1, sealed: changed }))
    expect(await store.load(BINDING)).toBeUndefined()
  })

  it('[bridge-store-private] makes folders 0700 and files 0600 whatever the umask', async () => {
    const folder = join(privateFolder(), 'new', 'home')
    const before = process.umask(0)
    try {
      await createTokenStore(depsOf(folder)).save(RECORD)
    } finally {
      process.umask(before)
    }
    const tokens = join(folder, 'tokens')
    const [name = ''] = readdirSync(tokens)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(statSync(tokens).mode & 0o777).toBe(0o700)
    expect(statSync(join(tokens, name)).mode & 0o777).toBe(0o600)
  })

  it.each([
    { what: 'folder', mode: 0o750, fix: 'chmod 700' },
    { what: 'file', mode: 0o640, fix: 'chmod 600' },
  ])(
    '[bridge-store-private] refuses a $what that others can read, with the fix',
    async ({ what, mode, fix }) => {
      const folder = privateFolder()
      const store = createTokenStore(depsOf(folder))
      await store.save(RECORD)
      const tokens = join(folder, 'tokens')
      chmodSync(what === 'folder' ? tokens : join(tokens, `${storeKey(BINDING)}.json`), mode)
      await expect(store.load(BINDING)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        hint: expect.stringContaining(fix),
      })
    },
  )

  it('[bridge-bound-tokens] gives nothing to another URL, profile, issuer or client', async () => {
    const store = createTokenStore(depsOf(privateFolder()))
    await store.save(RECORD)
    for (const other of [
      { url: 'https://evil.example/mcp' },
      { profile: 'work' },
      { issuer: 'https://x' },
      { clientId: 'd' },
    ]) {
      expect(await store.load({ ...BINDING, ...other })).toBeUndefined()
    }
  })

  it('[bridge-bound-tokens] does not take a file that was renamed for another binding', async () => {
    const folder = privateFolder()
    const store = createTokenStore(depsOf(folder))
    await store.save(RECORD)
    const evil = { ...BINDING, url: 'https://evil.example/mcp' }
    const path = (binding: typeof BINDING) => join(folder, 'tokens', `${storeKey(binding)}.json`)
    writeFileSync(path(evil), readFileSync(path(BINDING)), { mode: 0o600 })
    expect(await store.load(evil)).toBeUndefined()
  })

  it('[bridge-store-version] leaves a file of a later version alone, and names no version in the path', async () => {
    const folder = privateFolder()
    const store = createTokenStore(depsOf(folder))
    await store.save(RECORD)
    const path = join(folder, 'tokens', `${storeKey(BINDING)}.json`)
    const later = JSON.stringify({ schema: 2, record: RECORD })
    writeFileSync(path, later)
    expect(await store.load(BINDING)).toBeUndefined()
    expect(readFileSync(path, 'utf8')).toBe(later)
    expect(path).not.toMatch(/\d+\.\d+/)
  })

  it.each(['', '{', 'null', '[]', '{"schema":1}', '{"schema":1,"record":{"accessToken":7}}'])(
    'takes a broken file %j for none',
    async (content) => {
      const folder = privateFolder()
      const store = createTokenStore(depsOf(folder))
      await store.save(RECORD)
      writeFileSync(join(folder, 'tokens', `${storeKey(BINDING)}.json`), content)
      expect(await store.load(BINDING)).toBeUndefined()
    },
  )

  it('[bridge-stores-before-use] leaves no part of a file behind', async () => {
    const folder = privateFolder()
    const store = createTokenStore(depsOf(folder))
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => store.save({ ...RECORD, receivedAt: index })),
    )
    expect(readdirSync(join(folder, 'tokens'))).toHaveLength(1)
    expect(await store.load(BINDING)).toMatchObject({ accessToken: 'access-secret' })
  })
})

describe('the keychain', () => {
  const withKeychain = (
    folder: string,
    keychain: Keychain,
    choice: StoreDeps['choice'] = 'auto',
  ) => {
    const deps = depsOf(folder, { choice })
    return createTokenStore(deps, createDataKeys(deps, keychain))
  }

  it('[bridge-store-keychain] holds only a key; the tokens are in an encrypted file', async () => {
    const folder = privateFolder()
    const keychain = memoryKeychain()
    await withKeychain(folder, keychain).save(RECORD)
    const file = readFileSync(join(folder, 'tokens', `${storeKey(BINDING)}.json`), 'utf8')
    expect(file).not.toContain('secret')
    expect(await withKeychain(folder, keychain).load(BINDING)).toEqual(RECORD)
    expect(await withKeychain(folder, memoryKeychain()).load(BINDING)).toBeUndefined()
  })

  it('[bridge-store-private] [bridge-store-place] is not used when its probe fails, and says why', async () => {
    const folder = privateFolder()
    const broken: Keychain = { ...memoryKeychain(), read: async () => undefined }
    const store = withKeychain(folder, broken)
    await store.save(RECORD)
    expect(await store.load(BINDING)).toEqual(RECORD)
    expect(await store.place()).toMatchObject({
      kind: 'file',
      reason: 'Test Keychain does not work here',
    })
  })

  it('is probed once, not at every start', async () => {
    const folder = privateFolder()
    let probes = 0
    const keychain = memoryKeychain()
    const counting: Keychain = {
      ...keychain,
      write: async (account, value) => {
        if (account === 'probe') probes++
        await keychain.write(account, value)
      },
    }
    await withKeychain(folder, counting).save(RECORD)
    await withKeychain(folder, counting).save(RECORD)
    await withKeychain(folder, counting).load(BINDING)
    expect(probes).toBe(1)
  })

  it('[bridge-store-private] counts as broken when it does not answer within 3 s', async () => {
    const manual = createManualClock()
    const stuck: Keychain = { ...memoryKeychain(), write: () => new Promise(() => {}) }
    const outcome = probeKeychain(stuck, manual)
    await manual.advance(3_000)
    expect(await outcome).toBe('Test Keychain did not answer within 3 s')
  })

  it('is an error when it was asked for by name and does not work', async () => {
    const broken: Keychain = { ...memoryKeychain(), write: () => Promise.reject(new Error('no')) }
    await expect(
      withKeychain(privateFolder(), broken, 'keychain').save(RECORD),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      hint: expect.stringContaining('--store file'),
    })
  })

  it.each([
    ['darwin', '/usr/bin/security'],
    ['linux', 'secret-tool'],
  ] as const)(
    '[bridge-store-keychain] on %s gets secrets on stdin of %s and never as arguments',
    async (platform, program) => {
      const runs: { command: string; args: readonly string[]; input: string | undefined }[] = []
      const value = 'ab'.repeat(32)
      const run = async (
        command: string,
        args: readonly string[],
        { input }: { input?: string },
      ) => {
        runs.push({ command, args, input })
        return { status: 0, stdout: `${value}\n` }
      }
      const keychain = systemKeychain({ run }, platform, privateFolder())
      await keychain?.write('data-key', value)
      expect(await keychain?.read('data-key')).toBe(value)
      await keychain?.remove('data-key')
      expect(runs.map(({ command }) => command)).toEqual([program, program, program])
      expect(runs[0]?.input).toContain(value)
      for (const { args } of runs) expect(args.join(' ')).not.toContain(value)
    },
  )

  it('[bridge-store-keychain] on win32 encrypts for the user by PowerShell, and keeps what comes out in a file', async () => {
    const runs: { command: string; args: readonly string[]; input: string }[] = []
    const turned = (base64: string) => Buffer.from(base64, 'base64').reverse().toString('base64')
    const run = async (
      command: string,
      args: readonly string[],
      { input = '' }: { input?: string },
    ) => {
      runs.push({ command, args, input })
      return { status: 0, stdout: `${turned(input)}\r\n` }
    }
    const folder = privateFolder()
    const keychain = systemKeychain({ run }, 'win32', folder)
    const value = 'ab'.repeat(32)
    expect(await keychain?.read('data-key')).toBeUndefined()
    await keychain?.write('data-key', value)
    expect(await keychain?.read('data-key')).toBe(value)
    expect(readFileSync(join(folder, 'data-key.dpapi'), 'utf8')).not.toContain(value)
    await keychain?.remove('data-key')
    expect(await keychain?.read('data-key')).toBeUndefined()
    expect(runs.map(({ command }) => command)).toEqual(['powershell.exe', 'powershell.exe'])
    const scripts = runs.map(({ args }) =>
      Buffer.from(args.at(-1) ?? '', 'base64').toString('utf16le'),
    )
    expect(scripts[0]).toContain("::Protect($bytes, $null, 'CurrentUser')")
    expect(scripts[1]).toContain("::Unprotect($bytes, $null, 'CurrentUser')")
    for (const { args } of runs) expect(args.join(' ')).not.toContain(value)
    expect(runs[0]?.input).toBe(Buffer.from(value).toString('base64'))
  })

  it('[bridge-store-keychain] on win32 does not work where PowerShell gives nothing', async () => {
    const run = async () => ({ status: undefined, stdout: '' })
    const keychain = systemKeychain({ run }, 'win32', privateFolder())
    await keychain?.write('data-key', 'ab'.repeat(32))
    expect(await keychain?.read('data-key')).toBeUndefined()
  })
})
