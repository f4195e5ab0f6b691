import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, connect as open } from 'node:net'
import { eventually } from './targets/eventually.js'

/** Where Valkey or Redis is; `undefined` when there is neither, and tests with it are left out by name. */
export const VALKEY = ['/usr/bin/valkey-server', '/usr/bin/redis-server'].find((path) =>
  existsSync(path),
)

export interface Valkey {
  readonly url: string
  readonly port: number
  /** Runs one command, as redis-cli would, and returns the raw answer. */
  ask(...command: string[]): Promise<string>
  /** Stops it at once; what it held is gone. */
  kill(): Promise<void>
  /** Starts it again at the same port, empty. */
  start(): Promise<void>
  /** Lets it hang, and go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void
}

/** Starts a server that keeps nothing on disk. */
export async function startValkey({ password = '' } = {}): Promise<Valkey> {
  const port = await freePort()
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const flags = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
    ]
    const secret = password === '' ? [] : ['--requirepass', password]
    child = spawn(VALKEY ?? '', [...flags, ...secret, '--dir', '/tmp'], { stdio: 'ignore' })
    await eventually(async () => {
      const answer = await ask('PING')
      if (!answer.startsWith('+PONG')) throw new Error(answer)
    })
  }

  async function ask(...command: string[]): Promise<string> {
    const socket = open(port, '127.0.0.1')
    const all = password === '' ? [command] : [['AUTH', password], command]
    const text = all
      .map((words) => words.map((word) => JSON.stringify(word)).join(' '))
      .join('\r\n')
    socket.end(`${text}\r\nQUIT\r\n`)
    let answer = ''
    for await (const chunk of socket.setEncoding('utf8')) answer += chunk
    return password === '' ? answer : answer.replace(/^\+OK\r\n/, '')
  }

  await start()
  return {
    url: `redis://${password === '' ? '' : `:${encodeURIComponent(password)}@`}127.0.0.1:${port}`,
    port,
    ask,
    async kill() {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
    start,
    signal: (signal) => void child?.kill(signal),
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
