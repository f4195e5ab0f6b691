import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { requireTrust } from '../../../../src/usecases/access/check-trust.js'
import { findBridgeTarget } from '../../../../src/usecases/access/find-target.js'
import { createFolder } from '../../../helpers/folder.js'
import { createTestRuntime } from '../../../helpers/runtime.js'

const RC = '.mcp-descope-proxyrc.json'

const token = '$' + '{API_KEY}'

const rc = (url: string) => ({
  [RC]: { targets: { docs: { url, credential: { type: 'bearer', token } } } },
})

const URL_THERE = 'https://mcp.example.com/mcp?k=v'

const FLAGS = { trust: false, header: [], store: 'file' } as const

interface Asked {
  cwd: string
  home: string
  answer?: string
  isTty?: boolean
  env?: Record<string, string>
}

/** Lets somebody at a terminal answer; tells what was said, and how it ended. */
async function ask({ cwd, home, answer, isTty = true, env = {} }: Asked) {
  const all = { API_KEY: 'k-12345678', MCP_DESCOPE_HOME: home, ...env }
  const runtime = createTestRuntime({ cwd, isTty, env: all })
  if (answer === undefined) runtime.stdin.end()
  else runtime.stdin.write(answer)
  const target = await findBridgeTarget(runtime, undefined, {}, 'report')
  const use = { asServe: false, usesDescope: false }
  const failure = await requireTrust(runtime, target, FLAGS, use).catch((error: Error) => error)
  return { said: runtime.stderr(), failure }
}

const newHome = () => {
  const home = join(createFolder(), 'home')
  mkdirSync(home, { mode: 0o700 })
  return home
}

describe('the question whether a folder is trusted', () => {
  it('names variable, URL and file, and is asked once', async () => {
    const [cwd, home] = [createFolder(rc(URL_THERE)), newHome()]
    const { said, failure } = await ask({ cwd, home, answer: 'y\n' })
    expect(failure).toBeUndefined()
    expect(said).toContain(`API_KEY to https://mcp.example.com/mcp, named by file ./${RC}:4`)
    expect(said).not.toContain('k-12345678')
    const again = await ask({ cwd, home })
    expect(again).toEqual({ said: '', failure: undefined })
    const withoutTerminal = await ask({ cwd, home, isTty: false })
    expect(withoutTerminal).toEqual({ said: '', failure: undefined })
  })

  it.each(['n\n', '\n', 'what?\n', undefined])('takes %j for a no', async (answer) => {
    const [cwd, home] = [createFolder(rc(URL_THERE)), newHome()]
    const { failure } = await ask({ cwd, home, ...(answer !== undefined && { answer }) })
    expect(failure).toMatchObject({ code: 'CONFIG_INVALID' })
    expect((await ask({ cwd, home })).said).toContain('[y/N]')
  })

  it.each([
    ['without a terminal', { isTty: false }],
    ['in CI', { env: { CI: 'true' } }],
  ])('is not asked %s', async (_name, more) => {
    const [cwd, home] = [createFolder(rc(URL_THERE)), newHome()]
    const { said, failure } = await ask({ cwd, home, answer: 'y\n', ...more })
    expect(said).toBe('')
    expect(failure).toMatchObject({
      message: expect.stringContaining('API_KEY to https://mcp.example.com/mcp'),
      hint: expect.stringContaining(`--config ./${RC}`),
    })
  })

  it('is asked anew for another place, another query, another secret and another folder', async () => {
    const home = newHome()
    const cwd = createFolder(rc(URL_THERE))
    await ask({ cwd, home, answer: 'y\n' })
    const others = [
      rc('https://other.example.com/mcp'),
      rc('https://mcp.example.com/mcp?k=other'),
      { [RC]: JSON.stringify(rc(URL_THERE)[RC]).replace('API_KEY', 'OTHER_KEY') },
      rc(URL_THERE),
    ]
    for (const files of others) {
      const there = createFolder(files)
      const { said } = await ask({ cwd: there, home, env: { OTHER_KEY: 'o-12345678' } })
      expect(said).toContain('[y/N]')
    }
  })
})
