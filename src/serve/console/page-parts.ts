import { PAGE_STYLE, pagePolicy } from '../../util/page.js'

export const STYLE = `${PAGE_STYLE}
:root{--good:#0b6b3a;--bad:#b3261e;--warn:#8a5300;--answered:#2347c5;--refused:#b26a00;--failed:#b3261e}
@media(prefers-color-scheme:dark){:root{--good:#6fd79b;--bad:#ff9d94;--warn:#f0b860;--answered:#9db4ff;--refused:#f0b860;--failed:#ff9d94}}
main{max-width:76rem;padding-top:2rem}
h1{font-size:1.4rem}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem;margin:1.2rem 0 .4rem}
header{position:relative}
.live{display:flex;gap:.75rem;align-items:center;color:var(--dim);font-size:.92rem}
button{font:600 .85rem/1 system-ui,sans-serif;color:var(--ink);background:var(--card);border:1px solid var(--line);border-radius:7px;padding:.5rem .75rem;min-height:2rem;cursor:pointer}
button:hover{border-color:var(--accent)}
a{color:var(--accent)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1rem 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:.8rem 1rem}
.tile dt{color:var(--dim);font-size:.88rem}
.tile dd{margin:.15rem 0 0;font-size:1.35rem;font-weight:650;overflow-wrap:anywhere}
.tile.bad{border-color:var(--bad)}
.tile.bad dd{color:var(--bad)}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:12px;max-height:32rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.5rem .8rem;border-top:1px solid var(--line)}
th{border:0;color:var(--dim);font-weight:600;white-space:nowrap}
td code,td .dim{overflow-wrap:break-word}
td:first-child{white-space:nowrap}
td br+.dim{display:inline-block;max-width:14rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;overflow-wrap:normal}
.badge{font-weight:600;white-space:nowrap}
.badge.good{color:var(--good)}
.badge.bad{color:var(--bad)}
.badge.idle{color:var(--dim)}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1rem}
figcaption{font-weight:600;margin-bottom:.5rem}
.key{font-weight:400;font-size:.88rem;margin-left:.9rem}
.key::before{content:"";display:inline-block;width:.7rem;height:.7rem;border-radius:3px;margin-right:.35rem}
.key.answered::before{background:var(--answered)}
.key.refused::before{background:var(--refused)}
.key.failed::before{background:var(--failed)}
svg{display:block;width:100%;height:auto}
svg line{stroke:var(--line)}
svg text{fill:var(--dim);font:11px system-ui,sans-serif}
rect.answered{fill:var(--answered)}
rect.refused{fill:var(--refused)}
rect.failed{fill:var(--failed)}
summary{cursor:pointer;margin:.4rem 0}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
@media(max-width:40rem){thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}tr{display:block;border-top:1px solid var(--line);padding:.5rem 0}tr:first-child{border-top:0}td{display:flex;gap:.75rem;border:0;padding:.15rem .8rem}td::before{content:attr(data-head);color:var(--dim);flex:0 0 6.5rem}td>*{min-width:0}td code,td .dim{overflow-wrap:anywhere}td:first-child{white-space:normal}}
`

/** Keeps the page current until the reader pauses it. */
export const SCRIPT = `
const state=document.getElementById('state'),button=document.createElement('button')
let source
function open(){
source=new EventSource('events')
source.onmessage=({data})=>{const{at,sections}=JSON.parse(data)
for(const[id,html]of Object.entries(sections)){const part=document.getElementById(id)
if(!part.contains(document.activeElement))part.innerHTML=html}
say('live')}
source.onerror=()=>say(source.readyState===2?'the connection was refused':'no connection; trying again')}
function say(what){if(state.textContent!==what)state.textContent=what}
button.type='button';button.textContent='Pause'
button.addEventListener('click',()=>{
if(source){source.close();source=undefined;button.textContent='Go on';say('paused')}
else{open();button.textContent='Pause'}})
document.querySelector('.live').append(button)
open()
`

/** The page's own style, script and icon are let through by hash, its events by their origin. */
export const CONSOLE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': `${pagePolicy(STYLE, SCRIPT)}; connect-src 'self'`,
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const
