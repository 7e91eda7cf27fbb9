package main
import ("testing";"context";"fmt";"os";"strings";"strconv";"hone/loop")
func TestRR(t *testing.T){
  only:=os.Getenv("RR"); n,_:=strconv.Atoi(os.Getenv("RRSEEDS"))
  all:=trials; trials=nil
  for _,x:=range all { if len(x.name)>0 && x.levels!=nil && strings.Contains(x.name,only) {trials=append(trials,x)} }
  o:=&options{log:os.Stderr, seeds:n, first:1}
  ms,err:=recall{}.run(context.Background(),o)
  if err!=nil {t.Fatal(err)}
  for _,m:=range ms { fmt.Printf("%-60s %.3f %s\n", m.Name,m.Value,m.Unit)}
}
func TestFalse(t *testing.T){
  for _,x:=range trials { if x.name!=os.Getenv("RR") {continue}
   for seed:=uint64(1);seed<=6;seed++ { for n:=uint64(0);n<5;n++ { tb:=x.table(seed,n); found,_:=x.find(tb)
     for i,p:=range tb.planted { fmt.Printf("%d.%d planted %s mass %.3f rate %.3f\n",seed,n,tb.space.Describe(p),tb.mass(p),tb.rates[i]) }
     for _,f:=range found { _,w:=tb.judge([]loop.Slice{f}); h,_:=tb.judge([]loop.Slice{f}); fmt.Printf("    found %s hit %d wrong %d\n", tb.space.Describe(f),h,w) } } } }
}
