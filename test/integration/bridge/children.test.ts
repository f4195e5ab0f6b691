import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import {
  type BridgeProcess,
  CLIENT,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { freePort } from '../../helpers/sign-in.js'
import { clock } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { type ProtectedTarget, startProtectedTarget } from '../../helpers/targets/protected.js'

const isLinux = process.platform === 'linux'

describe('what a bridge leaves behind', () => {
  let identity: Identity
  let target: ProtectedTarget
  let home: string
  let env: Record<string, string>
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    identity = await startIdentity({ clock })
    target = await startProtectedTarget(identity.issuer, { sessions: 'required' })
    home = createHome()
    mkdirSync(home, { recursive: true, mode: 0o700 })
    const bin = join(home, 'bin')
    const path = `${bin}:${process.env['PATH']}`
    env = { MCP_DESCOPE_HOME: home, PATH: path, BROWSER: join(bin, 'browser') }
    program('browser', 'if (!exists("shut")) fetch(process.argv[2]); stay("browser stays")')
    program(
      'secret-tool',
      `stay("keychain hangs")
      const file = process.argv.at(-1) === "probe" ? "probe" : "key"
      if (process.argv[2] === "store") process.stdin.pipe(fs.createWriteStream(at(file)))
      else if (process.argv[2] === "clear") fs.rmSync(at(file))
      else if (exists(file)) process.stdout.write(fs.readFileSync(at(file)))`,
    )
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    for (const pid of living()) process.kill(pid, 'SIGKILL')
    await target.close()
    await identity.close()
  })

  /** Puts a program into the PATH that writes down its process id. */
  const program = (name: string, text: string) => {
    const path = join(home, 'bin', name)
    mkdirSync(join(home, 'bin'), { recursive: true })
    writeFileSync(
      path,
      `#!${process.execPath}
      const fs = require("fs")
      const at = (name) => ${JSON.stringify(`${home}/`)} + name
      const exists = (name) => fs.existsSync(at(name))
      const stay = (when) => exists(when) && setInterval(() => {}, 1_000)
      fs.appendFileSync(at("pids"), process.pid + "\\n")
      ${text}\n`,
    )
    chmodSync(path, 0o700)
  }
  const set = (flag: string) => writeFileSync(join(home, flag), '')
  const programs = () => {
    const list = join(home, 'pids')
    return existsSync(list) ? readFileSync(list, 'utf8').split('\n').slice(0, -1).map(Number) : []
  }
  /** Processes that live and have our folder in their environment, or wrote themselves down. */
  const living = () => {
    const all = isLinux ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : []
    const marked = all.map(Number).filter((pid) => variables(pid).includes(home))
    return [...new Set([...marked, ...programs().filter(isAlive)])]
  }
  const start = (url = target.url, args: string[] = []) => {
    const bridge = startBridge(url, { env, args })
    started.push(bridge)
    return bridge
  }
  const end = async (bridge: BridgeProcess, how: 'stdin' | 'SIGTERM' | 'SIGINT') => {
    if (how === 'stdin') bridge.child.stdin.end()
    else bridge.child.kill(how)
    expect(await bridge.ended).toMatchObject({ status: 0 })
  }
  const ENDINGS = ['stdin', 'SIGTERM', 'SIGINT'] as const

  it.each(ENDINGS)(
    '[bridge-leaves-nothing] is no process when %s ends it as it serves',
    async (how) => {
      const bridge = start(target.url, ['--store', isLinux ? 'keychain' : 'file'])
      await bridge.handshake()
      expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
      expect(programs().length).toBeGreaterThan(isLinux ? 3 : 0)
      if (isLinux) expect(living()).toContain(bridge.child.pid)
      await end(bridge, how)
      await eventually(() => expect(living()).toEqual([]))
    },
  )

  it.each(ENDINGS)(
    '[bridge-leaves-nothing] is no process when %s ends it as somebody signs in',
    async (how) => {
      set('shut')
      const bridge = start(target.url, ['--store', 'file'])
      await bridge.handshake()
      const call = bridge.call('echo').catch(() => undefined)
      await eventually(() => expect(programs()).toHaveLength(1))
      await end(bridge, how)
      await call
      await eventually(() => expect(living()).toEqual([]))
    },
  )

  it.each(ENDINGS)(
    '[bridge-leaves-nothing] is no process when %s ends it as the target is down',
    async (how) => {
      const bridge = start(`http://127.0.0.1:${await freePort()}/mcp`)
      await bridge.handshake()
      await end(bridge, how)
      await eventually(() => expect(living()).toEqual([]))
    },
  )

  it.each(ENDINGS)(
    '[bridge-leaves-nothing] is no process when %s ends it as the keychain hangs',
    async (how) => {
      const store = isLinux ? 'keychain' : 'file'
      expect(await runCli(['login', target.url, '--store', store], { env })).toMatchObject({
        status: 0,
      })
      set('keychain hangs')
      const before = programs().length
      const bridge = start(target.url, ['--store', store])
      bridge.send({ id: 1, method: 'initialize', params: CLIENT })
      if (isLinux) await eventually(() => expect(programs().length).toBeGreaterThan(before))
      await end(bridge, how)
      await eventually(() => expect(living()).toEqual([]))
    },
  )

  it('[bridge-leaves-nothing] is the browser of the user, which stays open', async () => {
    set('browser stays')
    const bridge = start(target.url, ['--store', 'file'])
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    await end(bridge, 'stdin')
    await eventually(() => expect(living()).toEqual(programs()))
  })
})

const variables = (pid: number) => ofProcess(pid, 'environ')

/** What is dead and was not fetched by its parent yet counts as dead. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0) && !/\) Z /.test(ofProcess(pid, 'stat'))
  } catch {
    return false
  }
}

function ofProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
