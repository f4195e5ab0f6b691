import type { ChildProcess } from 'node:child_process'

/** Commands that a child process takes from the bench over its IPC channel. */
export type Commands = Record<string, (parameters: never) => unknown>

interface Request {
  call: number
  command: string
  parameters: unknown
}

type Reply = { call: number; result?: unknown; error?: string }

/** In a child: reports readiness, serves commands, and exits when the bench is gone. */
export function serveCommands(ready: unknown, commands: Commands = {}): void {
  process.on('disconnect', () => process.exit(0))
  process.on('message', async ({ call, command, parameters }: Request) => {
    try {
      const result = await commands[command]!(parameters as never)
      process.send!({ call, result })
    } catch (error) {
      process.send!({ call, error: error instanceof Error ? error.message : String(error) })
    }
  })
  process.send!({ call: 0, result: ready })
}

export interface Remote {
  /** What the child reported when it was ready. */
  ready: Promise<unknown>
  call<T>(command: string, parameters?: unknown): Promise<T>
}

/** In the bench: calls a child. Every waiting call fails when the child exits. */
export function connectCommands(child: ChildProcess, name: string): Remote {
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (e: Error) => void }>()
  let last = 0
  const wait = <T>(call: number) =>
    new Promise<T>((resolve, reject) => waiting.set(call, { resolve, reject }))
  const ready = wait<unknown>(0)
  ready.catch(() => {})
  child.on('message', ({ call, result, error }: Reply) => {
    const caller = waiting.get(call)
    waiting.delete(call)
    if (error === undefined) caller?.resolve(result as never)
    else caller?.reject(new Error(`${name}: ${error}`))
  })
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values())
      reject(new Error(`${name} exited: ${code ?? signal}`))
    waiting.clear()
  })
  return {
    ready,
    call: (command, parameters = {}) => {
      last += 1
      child.send({ call: last, command, parameters })
      return wait(last)
    },
  }
}
