// Preloaded with --import: on SIGUSR2 something throws where nothing catches it, as a mistake in the
// program would. FAULT says what.
const error = () => new Error('made-up mistake')
const FAULTS = {
  timer: () =>
    setInterval(() => {
      throw error()
    }, 10),
  rejection: () => Promise.reject(error()),
  nothing: () =>
    setTimeout(() => {
      throw undefined
    }, 0),
  recursion: () =>
    setTimeout(function deeper() {
      deeper()
    }, 0),
}
process.on('SIGUSR2', FAULTS[process.env.FAULT])
process.stderr.write(`[pid ${process.pid}]\n`)
